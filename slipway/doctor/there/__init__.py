"""Checks of a cluster, as its login node tells."""
