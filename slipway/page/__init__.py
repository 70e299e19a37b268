"""Pages: one run, or several side by side, as a file that a browser shows without a network."""
