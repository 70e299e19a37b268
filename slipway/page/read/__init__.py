"""Readers of what programs write: trajectories, clouds, event files, tables, logs."""
