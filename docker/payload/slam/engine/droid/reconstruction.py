"""What DROID-SLAM found, as arrays: its keyframes, and files made of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slam.output.cloud import Cloud
from slam.output.results import replacing
from slam.trajectory import Floats, Trajectory

Singles = npt.NDArray[np.float32]

_VIEWED_EVERY = 2  # upstream's viewer takes every second pixel of every second row
_NEAR_PART = 0.25  # inverse depths below this part of their mean are too far away to be measured
_NEIGHBOURS = (-1, -2, -3, 3, 4, 5)  # as upstream's kernel chooses them


@dataclass(frozen=True, kw_only=True)
class Reconstruction:
    """The k keyframes of a stream, in DROID-SLAM's own scale.

    ``frames`` [k] are their places in the stream, ``poses`` [k, 7] lead from world to camera (``tx ty tz qx
    qy qz qw``), ``disps`` [k, H, W] are inverse depths, 0 where there is none, ``images`` [k, 3, H, W] are
    blue, green, red, and ``intrinsics`` [k, 4] are ``fx fy cx cy`` at an eighth of the images' size.
    ``scale`` times a length of it is metres where a stereo pair says so, else 1.
    """

    frames: npt.NDArray[np.int64]
    poses: Singles
    disps: Singles
    images: npt.NDArray[np.uint8]
    intrinsics: Singles
    scale: float = 1.0

    def __len__(self) -> int:
        return len(self.frames)


def invert_poses(poses: npt.NDArray[np.floating]) -> Floats:
    """The opposite motions of poses [n, 7], with quaternions of length 1."""
    exact = poses.astype(np.float64)
    turn = exact[:, 3:] / np.linalg.norm(exact[:, 3:], axis=1, keepdims=True)
    back = turn * [-1, -1, -1, 1]
    shift = -np.einsum("nij,nj->ni", rotation_matrices(back), exact[:, :3])
    inverted: Floats = np.hstack([shift, back])
    return inverted


def rotation_matrices(quaternions: Floats) -> Floats:
    """Rotation matrices [n, 3, 3] of unit quaternions [n, 4], ``x y z w``."""
    x, y, z, w = quaternions.T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    matrices: Floats = np.array(rows).transpose(2, 0, 1)
    return matrices


def make_trajectory(
    stamps: tuple[str, ...], poses: npt.NDArray[np.floating], scale: float = 1.0
) -> Trajectory:
    """A trajectory of poses [n, 7] from camera to world, lengths times ``scale``."""
    exact = poses.astype(np.float64)
    return Trajectory(
        stamps=stamps,
        positions=exact[:, :3] * scale,
        quaternions=exact[:, 3:] / np.linalg.norm(exact[:, 3:], axis=1, keepdims=True),
    )


def keyframe_trajectory(found: Reconstruction, stamps: tuple[str, ...]) -> Trajectory:
    """The keyframes' poses, from camera to world, with their timestamps out of those of all frames."""
    chosen = tuple(stamps[frame] for frame in found.frames)
    return make_trajectory(chosen, invert_poses(found.poses), found.scale)


def make_cloud(found: Reconstruction, *, threshold: float, count: int) -> Cloud:
    """The points that upstream's viewer would show.

    Of every second pixel, those that are not far beyond the others and whose depth is found again, within
    ``threshold`` in DROID-SLAM's scale, in at least ``count`` of six neighbouring keyframes.
    """
    step = _VIEWED_EVERY
    disps = found.disps[:, ::step, ::step].astype(np.float64)
    far = disps <= _NEAR_PART * disps.mean()
    centres = invert_poses(found.poses)
    camera_to_world = rotation_matrices(centres[:, 3:])
    rays = _make_rays(disps.shape[1:], found.intrinsics[0] * (8 / step))
    points, colors = [], []
    for keyframe in range(len(found)):
        kept = ~far[keyframe].ravel()
        depths = 1 / disps[keyframe].ravel()[kept]
        seen = rays[kept] * depths[:, None]
        world = seen @ camera_to_world[keyframe].T + centres[keyframe, :3]
        again = sum(
            _find(world, disps[other], found, centres, camera_to_world, other, threshold)
            for other in _neighbours(keyframe, len(found))
        )
        confirmed = np.broadcast_to(again, len(world)) >= count
        points.append(world[confirmed])
        shown = found.images[keyframe, ::-1, ::step, ::step].reshape(3, -1).T
        colors.append(shown[kept][confirmed])
    return Cloud(points=np.concatenate(points) * found.scale, colors=np.concatenate(colors))


def _neighbours(keyframe: int, count: int) -> Iterator[int]:
    return (keyframe + step for step in _NEIGHBOURS if 0 <= keyframe + step < count)


def _make_rays(shape: tuple[int, ...], intrinsics: Singles) -> Floats:
    """The points [h * w, 3] of all pixels at depth 1; pixel (0, 0) has its middle at (0, 0)."""
    fx, fy, cx, cy = intrinsics.astype(np.float64)
    v, u = np.mgrid[: shape[0], : shape[1]]
    rays: Floats = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones(shape)], -1).reshape(-1, 3)
    return rays


def _find(
    world: Floats,
    disps: Floats,
    found: Reconstruction,
    centres: Floats,
    camera_to_world: Floats,
    other: int,
    threshold: float,
) -> npt.NDArray[np.bool_]:
    """Whether points [p, 3] lie at the depth that one of four pixels around them has in another keyframe."""
    height, width = disps.shape
    fx, fy, cx, cy = found.intrinsics[0].astype(np.float64) * (8 / _VIEWED_EVERY)
    x, y, depth = ((world - centres[other, :3]) @ camera_to_world[other]).T
    with np.errstate(divide="ignore", invalid="ignore"):
        u, v = np.floor(fx * x / depth + cx), np.floor(fy * y / depth + cy)
        inside = (u >= 0) & (v >= 0) & (u < width - 1) & (v < height - 1)
        left, top = (np.where(inside, side, 0).astype(np.int64) for side in (u, v))
        hit = np.zeros(len(world), np.bool_)
        for down, right in ((0, 0), (0, 1), (1, 0), (1, 1)):
            hit |= np.abs(depth - 1 / disps[top + down, left + right]) < threshold
    hit &= inside
    return hit


def write_reconstruction(path: Path, found: Reconstruction, stamps: tuple[str, ...]) -> None:
    """Write the keyframes as a NumPy archive under upstream's names, and what upstream does not keep.

    ``tstamps`` [k] float32, places in the stream; ``images`` [k, 3, H, W] uint8; ``disps`` [k, H, W],
    ``poses`` [k, 7] and ``intrinsics`` [k, 4], all float32, as in ``Reconstruction``; ``stamps`` [k], the
    dataset's own timestamps as text; ``scale``.
    """
    with replacing(path) as part:
        np.savez_compressed(
            part,
            tstamps=found.frames.astype(np.float32),
            images=found.images,
            disps=found.disps,
            poses=found.poses,
            intrinsics=found.intrinsics,
            stamps=np.array([stamps[frame] for frame in found.frames]),
            scale=np.float64(found.scale),
        )
