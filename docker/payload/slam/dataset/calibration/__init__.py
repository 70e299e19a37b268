"""Cameras as other programs write them down: a file a format, and where a sequence's calibration is."""
