"""The steps of the line, each from names to values: what the tasks call."""
