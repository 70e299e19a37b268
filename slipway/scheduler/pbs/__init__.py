"""PBS: PBS Professional and OpenPBS, and Torque."""
