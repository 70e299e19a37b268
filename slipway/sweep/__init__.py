"""Sweeps: one program with many sets of arguments, each an element of its own."""
