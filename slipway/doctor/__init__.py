"""What would fail, told before it does: checks of this machine, of a login node and of nodes."""
