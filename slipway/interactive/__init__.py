"""A program elsewhere at this terminal, or between this process's own input and outputs."""
