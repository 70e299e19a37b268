"""Rigid motions in plain PyTorch, as DROID-SLAM's kernels write them.

A motion is ``tx ty tz qx qy qz qw``: rotate by the unit quaternion, then add the translation.
"""

from __future__ import annotations

import torch
from torch import Tensor

# From here on the kernels use the series of the half angle's sine, and leave the translation as it is.
_SMALL_ANGLE_SQUARED = 1e-8
_SMALL_ANGLE = 1e-4


def rotate(quaternions: Tensor, vectors: Tensor) -> Tensor:
    """Vectors [..., 3], turned by quaternions [..., 4]."""
    axis = quaternions[..., :3].expand_as(vectors)
    twice = 2 * torch.linalg.cross(axis, vectors)
    return vectors + quaternions[..., 3:] * twice + torch.linalg.cross(axis, twice)


def multiply(left: Tensor, right: Tensor) -> Tensor:
    """The product of quaternions [..., 4]: first ``right``, then ``left``."""
    axis, other = left[..., :3], right[..., :3]
    imaginary = left[..., 3:] * other + right[..., 3:] * axis + torch.linalg.cross(axis, other)
    real = left[..., 3:] * right[..., 3:] - (axis * other).sum(-1, keepdim=True)
    return torch.cat([imaginary, real], -1)


def conjugate(quaternions: Tensor) -> Tensor:
    """The opposite rotations of unit quaternions [..., 4]."""
    return torch.cat([-quaternions[..., :3], quaternions[..., 3:]], -1)


def relate(poses: Tensor, ii: Tensor, jj: Tensor) -> Tensor:
    """The motions [m, 7] from camera ``ii`` to camera ``jj``, for poses [n, 7] from world to camera."""
    turn = multiply(poses[jj, 3:], conjugate(poses[ii, 3:]))
    return torch.cat([poses[jj, :3] - rotate(turn, poses[ii, :3]), turn], -1)


def transform(motions: Tensor, points: Tensor, weights: Tensor) -> Tensor:
    """Homogeneous points, moved.

    Args:
        motions: [m, 7].
        points: [p, 3].
        weights: [m, p], the fourth coordinates; for points at depth 1 these are inverse depths.

    Returns:
        The first three coordinates [m, p, 3]; the fourth stays as it was.
    """
    moved = rotate(motions[:, None, 3:], points[None].expand(len(motions), -1, -1))
    return moved + weights[..., None] * motions[:, None, :3]


def pull_back(motions: Tensor, covectors: Tensor) -> Tensor:
    """Covectors [m, p, 6] of tangents after motions [m, 7], as covectors of tangents before them."""
    back = conjugate(motions[:, None, 3:])
    force, torque = covectors[..., :3], covectors[..., 3:]
    lever = torch.linalg.cross(force, motions[:, None, :3].expand_as(force))
    return torch.cat([rotate(back, force), rotate(back, torque + lever)], -1)


def exponential(tangents: Tensor) -> Tensor:
    """The motions [n, 7] of tangents [n, 6]: three of translation, three of rotation."""
    shift, spin = tangents[:, :3], tangents[:, 3:]
    squared = (spin * spin).sum(-1, keepdim=True)
    angle = squared.sqrt()
    small = squared < _SMALL_ANGLE_SQUARED
    safe = torch.where(small, torch.ones_like(angle), angle)
    sine = torch.where(small, 0.5 - squared / 48 + squared**2 / 3840, torch.sin(safe / 2) / safe)
    cosine = torch.where(small, 1 - squared / 8 + squared**2 / 384, torch.cos(safe / 2))
    once = torch.linalg.cross(spin, shift)
    bent = (1 - torch.cos(safe)) / safe**2 * once
    bent = bent + (safe - torch.sin(safe)) / safe**3 * torch.linalg.cross(spin, once)
    moved = shift + torch.where(angle > _SMALL_ANGLE, bent, torch.zeros_like(bent))
    return torch.cat([moved, sine * spin, cosine], -1)


def retract(poses: Tensor, tangents: Tensor) -> Tensor:
    """Poses [n, 7], moved by tangents [n, 6] that are applied on their left."""
    step = exponential(tangents)
    shift = rotate(step[:, 3:], poses[:, :3]) + step[:, :3]
    return torch.cat([shift, multiply(step[:, 3:], poses[:, 3:])], -1)
