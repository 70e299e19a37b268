"""The kernels that project: where the pixels of one keyframe are in another one, or in the world.

All shapes are at the kernels' own resolution. ``poses`` [n, 7] lead from world to camera, ``disps`` [n, h, w]
are inverse depths, ``intrinsics`` [4] are ``fx fy cx cy`` in pixels, and pixel (0, 0) has its middle at (0,
0).
"""

from __future__ import annotations

import torch
from torch import Tensor

from slam.engine.droid.lie import relate, transform

NEAREST = 0.25  # nearer points, in front of the camera or behind it, say nothing
_NEAREST_SHOWN = 0.01
_FEWEST_VALID = 0.75
_FAR = 1000.0
# So many edges at once; a backend asks for all pairs of keyframes, which would take gigabytes.
_EDGES_AT_ONCE = 256
# The kernel's choice of neighbours leaves out the next two.
_NEIGHBOURS = (-1, -2, -3, 3, 4, 5)


def make_rays(height: int, width: int, intrinsics: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The columns [h * w] and rows [h * w] of all pixels, and their points [h * w, 3] at depth 1."""
    fx, fy, cx, cy = intrinsics.unbind()
    rows, columns = torch.meshgrid(
        torch.arange(height, device=intrinsics.device, dtype=intrinsics.dtype),
        torch.arange(width, device=intrinsics.device, dtype=intrinsics.dtype),
        indexing="ij",
    )
    u, v = columns.reshape(-1), rows.reshape(-1)
    return u, v, torch.stack([(u - cx) / fx, (v - cy) / fy, torch.ones_like(u)], -1)


def iproj(poses: Tensor, disps: Tensor, intrinsics: Tensor) -> Tensor:
    """The points [n, h, w, 3] of all pixels, moved by ``poses``, from camera to world for points in it."""
    count, height, width = disps.shape
    _, _, rays = make_rays(height, width, intrinsics)
    flat = disps.reshape(count, -1)
    return (transform(poses, rays, flat) / flat[..., None]).view(count, height, width, 3)


def projmap(poses: Tensor, disps: Tensor, intrinsics: Tensor, ii: Tensor, jj: Tensor) -> list[Tensor]:
    """Where the pixels of ``ii`` are in ``jj``: ``u v 0`` [m, h, w, 3], and 1 where valid [m, h, w, 1]."""
    _, height, width = disps.shape
    u, v, rays = make_rays(height, width, intrinsics)
    points = transform(relate(poses, ii, jj), rays, disps[ii].flatten(1))
    shown = points[..., 2] > _NEAREST_SHOWN
    x, y = _project(points, shown, intrinsics)
    coordinates = torch.stack([torch.where(shown, x, u), torch.where(shown, y, v), torch.zeros_like(x)], -1)
    valid = (points[..., 2] > NEAREST).to(disps.dtype)
    return [coordinates.view(-1, height, width, 3), valid.view(-1, height, width, 1)]


def _project(points: Tensor, kept: Tensor, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Columns and rows [m, p] of points [m, p, 3]; of no meaning where not ``kept`` [m, p]."""
    fx, fy, cx, cy = intrinsics.unbind()
    depth = torch.where(kept, points[..., 2], torch.ones_like(points[..., 2]))
    return fx * (points[..., 0] / depth) + cx, fy * (points[..., 1] / depth) + cy


def frame_distance(
    poses: Tensor, disps: Tensor, intrinsics: Tensor, ii: Tensor, jj: Tensor, beta: float
) -> Tensor:
    """The mean flow [m] that the motion from ``ii`` [m] to ``jj`` [m] brings about, in pixels.

    ``beta`` is the weight of the whole motion, the rest that of its translation alone. Where less than three
    quarters of the pixels are in front of the other camera, it is 1000.
    """
    parts = [
        _measure_flow(poses, disps, intrinsics, some, others, beta)
        for some, others in zip(ii.split(_EDGES_AT_ONCE), jj.split(_EDGES_AT_ONCE), strict=True)
    ]
    return torch.cat(parts)


def _measure_flow(
    poses: Tensor, disps: Tensor, intrinsics: Tensor, ii: Tensor, jj: Tensor, beta: float
) -> Tensor:
    u, v, rays = make_rays(disps.shape[1], disps.shape[2], intrinsics)
    flat = disps[ii].flatten(1)
    motions = relate(poses, ii, jj)
    shifts = motions.clone()
    shifts[:, 3:] = motions.new_tensor([0, 0, 0, 1])
    flow, valid = torch.zeros_like(flat[:, 0]), torch.zeros_like(flat[:, 0])
    for weight, motion in ((beta, motions), (1 - beta, shifts)):
        points = transform(motion, rays, flat)
        seen = points[..., 2] > NEAREST
        x, y = _project(points, seen, intrinsics)
        flow += weight * (torch.hypot(x - u, y - v) * seen).sum(-1)
        valid += weight * seen.sum(-1)
    far = valid / flat.shape[1] < _FEWEST_VALID
    return torch.where(far, torch.full_like(flow, _FAR), flow / valid)


def depth_filter(poses: Tensor, disps: Tensor, intrinsics: Tensor, ix: Tensor, thresh: Tensor) -> Tensor:
    """In how many of six neighbouring keyframes a pixel's depth is found again.

    Args:
        poses: [n, 7].
        disps: [n, h, w].
        intrinsics: [4].
        ix: [k], the keyframes to look at.
        thresh: [k], how far two depths may be apart.

    Returns:
        Counts [k, h, w], from 0 to 6, as floats.
    """
    count, height, width = disps.shape
    _, _, rays = make_rays(height, width, intrinsics)
    found = torch.zeros(len(ix), height * width, device=disps.device, dtype=disps.dtype)
    for step in _NEIGHBOURS:
        kept = torch.nonzero((ix + step >= 0) & (ix + step < count))[:, 0]
        if not len(kept):
            continue
        ii = ix[kept]
        points = transform(relate(poses, ii, ii + step), rays, disps[ii].flatten(1))
        depth = points[..., 2].double() / disps[ii].flatten(1)
        found[kept] += _find(disps, intrinsics, ii + step, points, depth, thresh[kept]).to(found.dtype)
    return found.view(len(ix), height, width)


def _find(
    disps: Tensor, intrinsics: Tensor, jj: Tensor, points: Tensor, depth: Tensor, thresh: Tensor
) -> Tensor:
    """Whether one of the four pixels around a projection has its depth, [m, h * w]."""
    _, height, width = disps.shape
    x, y = _project(points, points[..., 2] != 0, intrinsics)
    left, top = (side.floor().nan_to_num(-1).clamp(-1, 2**24).long() for side in (x, y))
    inside = (left >= 0) & (top >= 0) & (left < width - 1) & (top < height - 1)
    inside &= points[..., 2] != 0
    corner = torch.where(inside, top * width + left, torch.zeros_like(left))
    hit = torch.zeros_like(inside)
    for offset in (0, 1, width, width + 1):
        there = 1 / disps[jj].flatten(1).gather(1, corner + offset).double()
        hit |= (depth - there).abs() < thresh[:, None]
    return hit & inside
