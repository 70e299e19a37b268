"""Ports of this machine that lead to a port on the cluster."""
