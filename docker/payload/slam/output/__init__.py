"""What a run leaves behind: trajectories, clouds and figures, whole or not there."""
