"""Registries of images: names, credentials, and what the engine does not do there."""
