"""SLURM: its options, commands and answers, and ``Slurm``, which asks them over a connection."""
