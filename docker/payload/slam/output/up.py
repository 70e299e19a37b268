"""Which way is up in a world that nobody has levelled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from slam.output.figure.options import AXES
from slam.trajectory import Floats

# The root mean square of the cosines between all cameras' right-hand directions and the second of the axes
# that they spread along; below it they lie along one line, and not in a plane.
_LEAST_PANNING = 0.17
# The length of the mean of all cameras' upward directions; below it they are held in all kinds of ways.
_LEAST_AGREEMENT = 0.5
_SNAPPED_DEGREES = 15
# Of the cloud's points on one plane, and of the cloud's extent.
_LEAST_PLANE, _PLANE_THICKNESS, _PLANE_TRIES = 0.2, 0.01, 300


@dataclass(frozen=True, kw_only=True)
class Up:
    """A direction [3] of length 1 in a world; ``source`` says in words how it is known.

    ``axis`` is its name (``z``, ``-y``) where it is an axis of that world, else ``None``.
    """

    direction: Floats
    source: str
    axis: str | None = None

    def turn(self, rotation: Floats) -> Up:
        """The same direction in a world that was turned by ``rotation`` [3, 3]."""
        return Up(direction=rotation @ self.direction, source=self.source)

    def snap(self) -> Up:
        """The axis of the world that is near to it, where one is; people who lay out worlds level them."""
        cosines = [float(axis_direction(axis) @ self.direction) for axis in AXES]
        best = int(np.argmax(cosines))
        if cosines[best] < np.cos(np.radians(_SNAPPED_DEGREES)):
            return self
        return along(AXES[best], f"{AXES[best]}, {self.source}")

    def summarize(self) -> dict[str, object]:
        """What goes to ``summary.json``."""
        return {"direction": [float(value) for value in self.direction], "source": self.source}


def along(axis: str, source: str) -> Up:
    """An axis of a world, one of ``AXES``."""
    return Up(direction=axis_direction(axis), source=source, axis=axis)


def axis_direction(axis: str) -> Floats:
    """The direction [3] of one of ``AXES``."""
    direction: Floats = np.eye(3)["xyz".index(axis[-1])] * (-1 if axis.startswith("-") else 1)
    return direction


def find_by_cameras(quaternions: Floats) -> Up | None:
    """What people who hold cameras upright call up; ``None`` where these are not held so.

    A camera that is not tilted to a side has its right-hand direction level, however much it looks up or
    down: up is at right angles to those of all cameras. Where all look the same way, that leaves a choice,
    and it is the one nearest to the mean of their upward directions. nerfstudio's `vertical` does the same:
    https://docs.nerf.studio/quickstart/data_conventions.html

    Args:
        quaternions: [n, 4] rotations from camera (x right, y down, z ahead) to world, ``x y z w``.
    """
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_quat(quaternions).as_matrix()
    rights, mean = turns[:, :, 0], -turns[:, :, 1].mean(0)
    if np.linalg.norm(mean) < _LEAST_AGREEMENT:
        return None
    squares, directions = np.linalg.eigh(rights.T @ rights / len(rights))
    least, _, most = directions.T
    is_panned = squares[1] > _LEAST_PANNING**2
    up = least * np.sign(least @ mean) if is_panned else mean - (mean @ most) * most
    length = float(np.linalg.norm(up))
    # A camera that lies on its side has no level right-hand direction.
    if length < _LEAST_AGREEMENT or up @ mean < _LEAST_AGREEMENT * np.linalg.norm(mean):
        return None
    return Up(direction=up / length, source="by how the cameras are held")


def find_by_plane(points: Floats, positions: Floats, seed: int = 0) -> Up | None:
    """At right angles to the plane on which most points [n, 3] lie; the cameras [m, 3] are above it.

    ``None`` where no plane holds a fifth of them. Fischler and Bolles, "Random sample consensus" (1981).
    """
    if len(points) < 10:
        return None
    rng = np.random.default_rng(seed)
    low, high = np.percentile(points, [5, 95], axis=0)
    some = points[rng.choice(len(points), min(len(points), 3000), replace=False)]
    best, support = None, _LEAST_PLANE * len(some)
    for _ in range(_PLANE_TRIES):
        corners = some[rng.choice(len(some), 3, replace=False)]
        normal = np.cross(corners[1] - corners[0], corners[2] - corners[0])
        if (length := float(np.linalg.norm(normal))) == 0:
            continue
        distances = (some - corners[0]) @ normal / length
        on_it = int(np.sum(np.abs(distances) < _PLANE_THICKNESS * np.linalg.norm(high - low)))
        if on_it > support:
            best, support = (normal / length, corners[0]), on_it
    if best is None:
        return None
    normal, place = best
    side = np.sign(np.median((positions - place) @ normal)) or 1.0
    return Up(direction=side * normal, source="by the plane on which most points lie")


def find_by_gravity(rises: Floats, quaternions: Floats) -> Up | None:
    """Against the mean of what an accelerometer measured, once it is turned into the world.

    Args:
        rises: [n, 3] what it measured in the camera's axes, in m/s²; at rest that points up. NaN where
            nothing was measured.
        quaternions: [n, 4] the camera's rotations to the world at these moments.
    """
    from scipy.spatial.transform import Rotation

    there = np.isfinite(rises).all(axis=1)
    if not there.any():
        return None
    mean = Rotation.from_quat(quaternions[there]).apply(rises[there]).mean(0)
    length = float(np.linalg.norm(mean))
    # Of a camera that moves as people and drones do, all but gravity averages out; else it is not that.
    if not 0.8 < length / 9.81 < 1.2:
        return None
    return Up(direction=mean / length, source="by the accelerometer")
