"""The container of a profile on this machine."""
