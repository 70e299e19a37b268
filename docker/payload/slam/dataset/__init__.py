"""Datasets as they are published, read into sequences for any engine."""
