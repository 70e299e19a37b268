"""Getting in without a password: keys, and the files by which hosts know them and each other."""
