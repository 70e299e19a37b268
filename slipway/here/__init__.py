"""This machine in the place of a host: its programs and files are reached as a host's are, without SSH."""
