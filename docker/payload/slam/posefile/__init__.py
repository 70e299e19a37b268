"""Files of poses in the formats that people have: which one it is, and what is in it."""
