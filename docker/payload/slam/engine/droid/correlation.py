"""The kernels that look up correlations around a pixel's place in another keyframe.

A window has 2r + 1 places along x, its first axis, and as many along y. Between four pixels the kernels mix,
and outside of the image a correlation is zero.
"""

from __future__ import annotations

import torch
from torch import Tensor

_BOUND = 1e6  # what is farther out is outside of any image; larger numbers do not fit an index


def corr_index_forward(volume: Tensor, coords: Tensor, radius: int) -> list[Tensor]:
    """Windows of a correlation volume.

    Args:
        volume: [b, h1, w1, h2, w2], how each pixel of one image goes with each of another.
        coords: [b, 2, h1, w1], ``x y`` in the other image.
        radius: r, of the window.

    Returns:
        One tensor [b, 2r + 1, 2r + 1, h1, w1].
    """
    batch, height, width = volume.shape[:3]
    taps, inside, x, y = _find_taps(coords, radius, *volume.shape[3:])
    values = volume.reshape(taps.shape[0], -1).gather(1, taps.flatten(1)).view_as(inside)
    mixed = _mix(torch.where(inside, values, torch.zeros_like(values)), x, y)
    size = 2 * radius + 1
    return [mixed.view(batch, height, width, size, size).permute(0, 3, 4, 1, 2).contiguous()]


def corr_index_backward(volume: Tensor, coords: Tensor, corr_grad: Tensor, radius: int) -> list[Tensor]:
    """The gradient of ``volume``, one tensor, for one of its windows [b, 2r + 1, 2r + 1, h1, w1]."""
    taps, inside, x, y = _find_taps(coords, radius, *volume.shape[3:])
    size = 2 * radius + 1
    windows = corr_grad.permute(0, 3, 4, 1, 2).reshape(-1, size, size)
    gradient = _unmix(windows, x, y)
    gradient = torch.where(inside, gradient, torch.zeros_like(gradient))
    flat = torch.zeros_like(volume).reshape(taps.shape[0], -1)
    return [flat.scatter_add_(1, taps.flatten(1), gradient.flatten(1)).view_as(volume)]


def _find_taps(coords: Tensor, radius: int, height: int, width: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What each of p pixels reads: (2r + 2)² places, whether they exist, how far x and y are between."""
    places = coords.permute(0, 2, 3, 1).reshape(-1, 2)
    whole = places.floor()
    x, y = (places - whole).unbind(-1)
    corner = whole.nan_to_num(-_BOUND).clamp(-_BOUND, _BOUND).long()
    steps = torch.arange(-radius, radius + 2, device=coords.device)
    columns, rows = corner[:, :1] + steps, corner[:, 1:] + steps
    inside = ((columns >= 0) & (columns < width))[:, :, None] & ((rows >= 0) & (rows < height))[:, None]
    taps = (rows.clamp(0, height - 1) * width)[:, None] + columns.clamp(0, width - 1)[:, :, None]
    return taps, inside, x[:, None, None], y[:, None, None]


def _mix(taps: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Windows [p, n, n] from what was read [p, n + 1, n + 1], ``x``, ``y`` of the way to the next."""
    x, y = x.to(taps.dtype), y.to(taps.dtype)
    along = (1 - x) * taps[:, :-1] + x * taps[:, 1:]
    return (1 - y) * along[:, :, :-1] + y * along[:, :, 1:]


def _unmix(windows: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The gradient of what ``_mix`` reads, for one of what it gives."""
    x, y = x.to(windows.dtype), y.to(windows.dtype)
    count, size, _ = windows.shape
    along = windows.new_zeros(count, size, size + 1)
    along[:, :, :-1] += (1 - y) * windows
    along[:, :, 1:] += y * windows
    taps = windows.new_zeros(count, size + 1, size + 1)
    taps[:, :-1] += (1 - x) * along
    taps[:, 1:] += x * along
    return taps


def altcorr_forward(
    fmap1: Tensor, fmap2: Tensor, coords: Tensor, ii: Tensor, jj: Tensor, radius: int
) -> list[Tensor]:
    """The same windows from features; here volumes are made, of one edge at a time.

    Args:
        fmap1: [b, n, c, h, w].
        fmap2: [b, n, c, h2, w2].
        coords: [b, m, 2, h, w], ``x y`` in ``fmap2``.
        ii: [m], places in ``fmap1``.
        jj: [m], places in ``fmap2``.
        radius: r, of the windows.

    Returns:
        One tensor [b, m, 2r + 1, 2r + 1, h, w].
    """
    return [_correlate(fmap1 / 4, fmap2 / 4, coords, ii, jj, radius)]


def _correlate(fmap1: Tensor, fmap2: Tensor, coords: Tensor, ii: Tensor, jj: Tensor, radius: int) -> Tensor:
    height, width = fmap1.shape[-2:]
    windows = [
        corr_index_forward(
            torch.einsum("cp,cq->pq", one.flatten(1), other.flatten(1)).view(
                1, height, width, *other.shape[1:]
            ),
            place[None],
            radius,
        )[0]
        for batch in range(len(coords))
        for one, other, place in zip(fmap1[batch, ii], fmap2[batch, jj], coords[batch], strict=True)
    ]
    return torch.cat(windows).view(*coords.shape[:2], *windows[0].shape[1:])


def altcorr_backward(
    fmap1: Tensor, fmap2: Tensor, coords: Tensor, corr_grad: Tensor, ii: Tensor, jj: Tensor, radius: int
) -> list[Tensor]:
    """The gradients of both features, for one [b, m, 2r + 1, 2r + 1, h, w] of their windows.

    As the kernel computes them, which leaves out that the forward one divides by 16. Upstream never comes
    here: it calls ``altcorr_forward`` without gradients only.
    """
    with torch.enable_grad():
        features = [fmap.detach().requires_grad_() for fmap in (fmap1, fmap2)]
        windows = _correlate(features[0], features[1], coords, ii, jj, radius)
        return list(torch.autograd.grad(windows, features, corr_grad))
