"""Schedulers: what a site's jobs are given to. Nothing here knows of runs or images; both are above it."""
