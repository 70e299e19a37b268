"""Text for people: neutralised, worded, and the nearest of some words. Pure."""
