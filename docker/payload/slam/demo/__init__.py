"""The demo's input: a room that does not exist, filmed by a camera whose path is known."""
