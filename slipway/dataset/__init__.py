"""Data on a cluster: a folder here made equal, by content, to one there."""
