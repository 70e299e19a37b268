"""Found by upstream's ``import torch_scatter`` where its folder is on the path."""

from slam.engine.droid.scatter import scatter_mean, scatter_sum

__all__ = ["scatter_mean", "scatter_sum"]
