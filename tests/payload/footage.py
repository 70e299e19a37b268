"""Small recordings to train on: a wall and a floor with a pattern, seen by a camera that moves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

Floats = npt.NDArray[np.float64]

WALL_M, FLOOR_M = 3.0, 1.0
MILLIMETRES = 1000


def camera(width: int, height: int) -> tuple[float, float, float, float]:
    return 0.8 * width, 0.8 * width, width / 2, height / 2


def poses(frames: int, step_m: float) -> Floats:
    """Camera to world [n, 7]: to the right and ahead, turning about the vertical axis (y is down)."""
    places = np.arange(frames)
    turn = 0.01 * places
    zero = np.zeros(frames)
    return np.stack(
        [
            step_m * places, 0.02 * np.sin(places), 0.3 * step_m * places,
            zero, np.sin(turn / 2), zero, np.cos(turn / 2),
        ],
        axis=1,
    )  # fmt: skip


def look(pose: Floats, width: int, height: int) -> tuple[Floats, npt.NDArray[np.uint8]]:
    """Depth [h, w] in metres and image [h, w, 3] from a pose whose rotation is about the y axis."""
    fx, fy, cx, cy = camera(width, height)
    v, u = np.mgrid[:height, :width]
    x, y, z = (u - cx) / fx, (v - cy) / fy, np.ones((height, width))
    angle = 2 * np.arctan2(pose[4], pose[6])
    across, ahead = np.cos(angle) * x + np.sin(angle) * z, np.cos(angle) * z - np.sin(angle) * x
    to_wall = (WALL_M - pose[2]) / ahead
    to_floor = np.where(y > 0.01, (FLOOR_M - pose[1]) / np.maximum(y, 0.01), np.inf)
    depth = np.minimum(to_wall, to_floor)
    point = np.stack([pose[0] + depth * across, pose[1] + depth * y, pose[2] + depth * ahead])
    return depth, paint(point)


def paint(point: Floats) -> npt.NDArray[np.uint8]:
    """A colour for each point of the world [3, h, w]."""
    waves = np.random.default_rng(7).normal(size=(3, 12, 3)) * 6
    light = np.sin(np.einsum("cks,shw->ckhw", waves, point)).mean(1)
    return np.clip(128 + 200 * np.moveaxis(light, 0, 2), 0, 255).astype(np.uint8)


def make_footage(
    folder: Path,
    *,
    frames: int = 10,
    width: int = 192,
    height: int = 144,
    step_m: float = 0.08,
    png: bool = True,
) -> Path:
    """A scene in the layout for a user's own footage."""
    for name in ("images", "depths"):
        (folder / name).mkdir(parents=True)
    track = poses(frames, step_m)
    for place, pose in enumerate(track):
        depth, image = look(pose, width, height)
        Image.fromarray(image).save(folder / "images" / f"{place:03d}.png")
        if png:
            Image.fromarray(np.rint(MILLIMETRES * depth).astype(np.uint16)).save(
                folder / "depths" / f"{place:03d}.png"
            )
        else:
            np.save(folder / "depths" / f"{place:03d}.npy", depth.astype(np.float32))
    rows = [" ".join(map(str, (place / 10, *pose))) for place, pose in enumerate(track)]
    (folder / "poses.txt").write_text("\n".join(rows) + "\n")
    (folder / "calib.txt").write_text(" ".join(map(str, camera(width, height))) + "\n")
    if png:
        (folder / "depth_scale.txt").write_text(f"{MILLIMETRES}\n")
    return folder


def make_tartanair(folder: Path, *, frames: int = 10) -> Path:
    """A scene in TartanAir's layout, with a ``calib.txt``, since TartanAir's own images are larger."""
    width, height = 192, 144
    for name in ("image_left", "depth_left"):
        (folder / name).mkdir(parents=True)
    track = poses(frames, 0.08)
    for place, pose in enumerate(track):
        depth, image = look(pose, width, height)
        Image.fromarray(image).save(folder / "image_left" / f"{place:06d}_left.png")
        np.save(folder / "depth_left" / f"{place:06d}_left_depth.npy", depth.astype(np.float32))
    # North, east, down is ahead, right, down: z x y.
    rows = [" ".join(map(str, pose[[2, 0, 1, 5, 3, 4, 6]])) for pose in track]
    (folder / "pose_left.txt").write_text("\n".join(rows) + "\n")
    (folder / "calib.txt").write_text(" ".join(map(str, camera(width, height))) + "\n")
    return folder
