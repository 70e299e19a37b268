"""Getting to a host as OpenSSH would: its configuration, its keys, the login, jump hosts."""
