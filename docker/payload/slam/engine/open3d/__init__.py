"""The engine ``open3d``: RGB-D SLAM without a GPU."""
