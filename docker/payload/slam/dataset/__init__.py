"""Datasets as they are published, made into streams of prepared frames."""
