"""Weights of networks: fetched, looked at, staged."""
