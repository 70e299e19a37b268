"""Training of DROID-SLAM's network on TartanAir and on a user's own footage."""
