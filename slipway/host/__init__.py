"""A host that is logged in to: commands, files, and Slipway's folder there."""
