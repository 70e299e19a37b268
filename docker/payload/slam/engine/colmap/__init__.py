"""The engine colmap: structure from motion by COLMAP, through pycolmap, on the CPU."""
