"""Slipway: from a research container to results from a SLURM cluster."""
