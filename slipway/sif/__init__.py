"""The image as a .sif."""
