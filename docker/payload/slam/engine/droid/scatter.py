"""The two functions of pytorch_scatter (https://pytorch-scatter.readthedocs.io) that DROID-SLAM calls.

PyTorch itself has had them for long under other names, so that twenty minutes of compiling are saved. Both
can be differentiated.
"""

from __future__ import annotations

import torch
from torch import Tensor


def scatter_sum(src: Tensor, index: Tensor, dim: int = -1, dim_size: int | None = None) -> Tensor:
    """Sum up what has the same index.

    Args:
        src: [..., n, ...], n along ``dim``.
        index: [n], for each of them a number from 0 on.
        dim: the dimension.
        dim_size: how many sums there are; one more than the largest index unless it is given.

    Returns:
        [..., dim_size, ...].
    """
    if dim_size is None:
        dim_size = int(index.max()) + 1 if len(index) else 0
    shape = list(src.shape)
    shape[dim] = dim_size
    return src.new_zeros(shape).index_add(dim, index, src)


def scatter_mean(src: Tensor, index: Tensor, dim: int = -1, dim_size: int | None = None) -> Tensor:
    """The mean of what has the same index, 0 where nothing has; see ``scatter_sum``."""
    total = scatter_sum(src, index, dim, dim_size)
    counts = torch.bincount(index, minlength=total.shape[dim]).clamp(min=1).to(total.dtype)
    shape = [1] * total.dim()
    shape[dim] = -1
    return total / counts.view(shape)
