"""Figures of trajectories and their errors, one kind of panel a file."""
