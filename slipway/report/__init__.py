"""What there is to tell of runs, as values and rows; a terminal, JSON and pages show the same. Pure."""
