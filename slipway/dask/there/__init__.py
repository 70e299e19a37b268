"""What starts a Dask cluster and looks at it: sent as ``slipway_dask``, run by the image's Python."""
