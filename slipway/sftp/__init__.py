"""File transfer over SSH's own protocol for it, SFTP: for small files, and for all where rsync is missing."""
