"""A point cloud and the camera's path, seen from behind the camera; no display is needed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from slam.output.cloud import Cloud
from slam.output.results import replacing
from slam.trajectory import Floats, Trajectory

WIDTH, HEIGHT = 1280, 960
_FOCAL = 1.1 * WIDTH
_BACKGROUND = 250
_PATH = (31, 111, 214)
_PATH_STEPS = 4000
# The part of the cloud that has to fit; single points far out would make the rest small.
_BULK = (5, 95)
_NEAREST = 1e-6
# How far the eye looks down, and how level a direction of the cameras has to be to be looked along.
_TILT, _LEAST_LEVEL = 0.6, 0.2


def render(path: Path, cloud: Cloud, trajectory: Trajectory, up: Floats) -> None:
    """Draw a picture; ``up`` [3] is the direction in their world that is upright in it."""
    eye, axes = place_eye(cloud, trajectory, up)
    picture = np.full((HEIGHT, WIDTH, 3), _BACKGROUND, np.uint8)
    spread = max(1, round(2 * (200_000 / max(1, len(cloud))) ** 0.5))
    splat(picture, cloud.points, cloud.colors, eye, axes, min(spread, 6))
    line = _thicken(trajectory.positions)
    splat(picture, line, np.broadcast_to(np.array(_PATH, np.uint8), line.shape), eye, axes, 4)
    with replacing(path) as part:
        Image.fromarray(picture).save(part, format="png")


def place_eye(cloud: Cloud, trajectory: Trajectory, up: Floats) -> tuple[Floats, Floats]:
    """Where the picture is taken from [3], and its axes [3, 3]: behind and above the path, all in sight.

    The axes are right, down and ahead, in columns.
    """
    inner = trajectory.positions
    if len(cloud):
        low, high = np.percentile(cloud.points, _BULK, axis=0)
        inside = np.all((cloud.points >= low) & (cloud.points <= high), axis=1)
        inner = np.concatenate([inner, cloud.points[inside]])
    ahead = _unit(_level_direction(trajectory, up) - _TILT * up)
    right = _unit(np.cross(ahead, up))
    axes = np.stack([right, np.cross(ahead, right), ahead], 1)
    middle = (inner.min(0) + inner.max(0)) / 2
    aside = (inner - middle) @ axes
    limits = np.array([WIDTH, HEIGHT]) * 0.47 / _FOCAL
    # Each point is in sight from so far back.
    back = np.max(np.abs(aside[:, :2]) / limits - aside[:, 2:], initial=_NEAREST)
    return middle - back * ahead, axes


def splat(
    picture: npt.NDArray[np.uint8],
    points: Floats,
    colors: npt.NDArray[np.uint8],
    eye: Floats,
    axes: Floats,
    size: int,
) -> None:
    """Paint points [n, 3] as squares of ``size`` pixels, the nearest last."""
    seen = (points - eye) @ axes
    order = np.argsort(-seen[:, 2])
    order = order[seen[order, 2] > _NEAREST]
    x, y, depth = seen[order].T
    column = np.rint(_FOCAL * x / depth + WIDTH / 2 - size / 2)
    row = np.rint(_FOCAL * y / depth + HEIGHT / 2 - size / 2)
    kept = (column >= 0) & (row >= 0) & (column < WIDTH - size) & (row < HEIGHT - size)
    column, row, shown = column[kept].astype(np.int64), row[kept].astype(np.int64), colors[order][kept]
    down, right = (offset.ravel() for offset in np.mgrid[:size, :size])
    # Where two points meet in a pixel, NumPy keeps what is assigned last.
    picture[(row[:, None] + down).ravel(), (column[:, None] + right).ravel()] = np.repeat(shown, size**2, 0)


def _level_direction(trajectory: Trajectory, up: Floats) -> Floats:
    """Where the cameras look on the whole; those that look straight down, where the top of their image is."""
    from scipy.spatial.transform import Rotation

    _, down, forward = Rotation.from_quat(trajectory.quaternions).as_matrix().mean(0).T
    directions = (forward, -down, np.eye(3)[int(np.argmin(np.abs(up)))])
    level = [direction - (direction @ up) * up for direction in directions]
    return _unit(next(one for one in level if np.linalg.norm(one) > _LEAST_LEVEL))


def _thicken(positions: Floats) -> Floats:
    """Points along the path, close enough to look like a line."""
    places = np.linspace(0, len(positions) - 1, _PATH_STEPS)
    whole = np.arange(len(positions))
    return np.stack([np.interp(places, whole, axis) for axis in positions.T], 1)


def _unit(vector: Floats) -> Floats:
    scaled: Floats = vector / max(float(np.linalg.norm(vector)), _NEAREST)
    return scaled
