"""Checks of a node, which a short test job makes."""
