"""The code folder that a job runs."""
