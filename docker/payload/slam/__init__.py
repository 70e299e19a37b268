"""Camera trajectory and point cloud from an image sequence, and how well they fit the ground truth."""

__version__ = "0.1.0"
