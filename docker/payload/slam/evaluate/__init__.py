"""How far trajectories are from the truth, and what others got."""
