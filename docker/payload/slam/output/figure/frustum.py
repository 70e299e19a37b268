"""Where cameras look: pyramids from their centres to the corners of their images."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slam.output.camera import Camera
from slam.output.figure.projection import Projection
from slam.trajectory import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_MOST = 24
_WIDEST = 1.5
# Half the width and height of an image in focal lengths, where they are not known: 53 by 41 degrees.
USUAL_FIELD = (0.5, 0.375)
# The corners, once around, to the centre and out again; then the two edges that are left.
_STROKES = ((1, 2, 3, 4, 1, 0, 2), (3, 0, 4))


def field_of(camera: Camera) -> tuple[float, float]:
    """Half the width and height of a camera's image in focal lengths, as far as a pyramid shows it."""
    try:
        named = camera.named()
    except ValueError:
        return USUAL_FIELD
    halves = (camera.width / named["fx"] / 2, camera.height / named["fy"] / 2)
    return min(halves[0], _WIDEST), min(halves[1], _WIDEST)


def choose_poses(positions: Floats, depth: float) -> npt.NDArray[np.int64]:
    """The places of a path [n, 3] whose cameras are shown: few, so that pyramids of this depth stay apart."""
    way = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(positions, axis=0), axis=1))])
    count = int(np.clip(way[-1] / (1.5 * depth), 1, min(_MOST, len(positions))))
    near = np.searchsorted(way, np.linspace(0, way[-1], count))
    return np.unique(np.clip(near, 0, len(positions) - 1))


def corners(
    positions: Floats, quaternions: Floats, depth: float, field: tuple[float, float] = USUAL_FIELD
) -> Floats:
    """The centre and the four corners of each pyramid, [n, 5, 3] in the world.

    Args:
        positions: [n, 3] the cameras' centres.
        quaternions: [n, 4] rotations from camera (x right, y down, z ahead) to world, ``x y z w``.
        depth: how high the pyramids are, in the world's unit.
        field: half the width and half the height of an image, in focal lengths.
    """
    from scipy.spatial.transform import Rotation

    x, y = field
    pyramid = depth * np.array([[0, 0, 0], [-x, -y, 1], [x, -y, 1], [x, y, 1], [-x, y, 1]])
    turned = Rotation.from_quat(quaternions).as_matrix() @ pyramid.T
    placed: Floats = positions[:, None] + turned.transpose(0, 2, 1)
    return placed


def draw_frustums(axes: Axes, projection: Projection, pyramids: Floats, color: str) -> None:
    """Draw pyramids [n, 5, 3] as lines."""
    from matplotlib.collections import LineCollection

    flat = projection.project(pyramids.reshape(-1, 3)).reshape(-1, 5, 2)
    lines = [pyramid[list(stroke)] for pyramid in flat for stroke in _STROKES]
    axes.add_collection(
        LineCollection(lines, colors=color, linewidths=0.5, alpha=0.7, zorder=3, label="view directions"),
        autolim=False,
    )
