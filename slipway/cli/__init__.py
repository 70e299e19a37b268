"""Invoke tasks, a file a collection: they turn arguments into calls of steps, and values into words."""
