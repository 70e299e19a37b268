"""Slipway: from a research container to results from a SLURM cluster."""

__version__ = "0.1.0"
