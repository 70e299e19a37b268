"""``--self-test``: whether an image does on this machine what it should."""
