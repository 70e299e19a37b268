"""Jobs: asked for, submitted, followed, brought home."""
