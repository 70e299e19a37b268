"""NVIDIA's platform, as far as a stand-in for it goes."""
