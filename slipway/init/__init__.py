"""What `init` puts into a user's repository: what is found there, and the files that are written."""
