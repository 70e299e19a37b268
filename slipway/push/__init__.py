"""Images on a cluster: sent, pulled, removed."""
