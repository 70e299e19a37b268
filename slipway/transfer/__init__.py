"""Moving files: what any carrier does, and rsync."""
