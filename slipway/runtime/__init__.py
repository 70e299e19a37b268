"""Container runtimes: what starts a program in an image on a node."""
