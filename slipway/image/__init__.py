"""The Docker image: what it is made from, and the engine."""
