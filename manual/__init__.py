"""What makes the site of docs/: its reference, from the code; links to the repository's files; recordings."""
