"""DROID-SLAM (https://github.com/princeton-vl/DROID-SLAM), unmodified, without a screen."""
