"""NVIDIA's Base Command Platform, by NVIDIA's own program ``ngc`` on this machine."""
