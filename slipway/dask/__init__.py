"""Dask's own clusters, started where image, code and data are."""
