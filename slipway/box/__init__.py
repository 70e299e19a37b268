"""A SLURM cluster in a container."""
