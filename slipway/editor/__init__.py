"""ssh into the container of a running job, for editors: what ssh_config and the node are told."""
