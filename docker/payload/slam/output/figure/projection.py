"""The two directions in which a world is looked at: from above, and from the side."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slam.output.up import Up
from slam.trajectory import Floats

_LETTERS = "xyz"


@dataclass(frozen=True, kw_only=True)
class Projection:
    """What of a world is to the right on paper, and what is at the top of it.

    ``axes`` [2, 3] are these two directions, at right angles; what remains points to the reader, so that
    nothing is mirrored. ``labels`` are their names, ``name`` says where the reader is.
    """

    name: str
    axes: Floats
    labels: tuple[str, str]

    def project(self, points: Floats) -> Floats:
        """Points [n, 3] as they lie on paper [n, 2]."""
        flat: Floats = points @ self.axes.T
        return flat


def look(up: Up, positions: Floats) -> tuple[Projection, Projection]:
    """From above, and from the side from which a path [n, 3] is longest.

    Where an axis of the world points up, the other two are the paper's. Else the path's main direction is
    to the right.
    """
    level, names = _level_axes(up, positions)
    widest = int(np.argmax([np.ptp(positions @ axis) for axis in level]))
    height = (up.axis or "up").replace("-", "\N{MINUS SIGN}")
    above = Projection(name="from above", axes=level, labels=names)
    # Seen from the side, the one that is to the right stays so, or the one that is at the top comes forward.
    side = Projection(
        name="from the side", axes=np.stack([level[widest], up.direction]), labels=(names[widest], height)
    )
    return above, side


def _level_axes(up: Up, positions: Floats) -> tuple[Floats, tuple[str, str]]:
    """Two level directions [2, 3], the second to the left of the first, and their names."""
    if up.axis is not None:
        place, forward = _LETTERS.index(up.axis[-1]), not up.axis.startswith("-")
        others = [(place + 1) % 3, (place + 2) % 3][:: 1 if forward else -1]
        return np.eye(3)[others], (_LETTERS[others[0]], _LETTERS[others[1]])
    level = positions - positions.mean(0)
    level = level - np.outer(level @ up.direction, up.direction)
    along = np.linalg.svd(level, full_matrices=False)[2][0]
    along = along - (along @ up.direction) * up.direction
    if np.linalg.norm(along) < 1e-6:  # straight up, or nowhere at all
        along = np.cross(up.direction, np.eye(3)[int(np.argmin(np.abs(up.direction)))])
    along = along / np.linalg.norm(along)
    # Paths go to the right rather than to the left.
    if (positions[-1] - positions[0]) @ along < 0:
        along = -along
    return np.stack([along, np.cross(up.direction, along)]), ("along", "across")
