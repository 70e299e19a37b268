"""What lies on a cluster and here: what it costs, what can go, and what is kept in the home folder there."""
