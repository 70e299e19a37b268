"""Definition files: what Apptainer builds an image from, without Docker."""
