"""Which frames of a scene see the same, by the optical flow between them.

The distance of two frames is the mean flow, there and back, that camera motion and depth induce in a grid of
every 16th pixel. This is upstream's ``compute_distance_matrix_flow`` on the CPU and without PyTorch.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

GRID_PX = 16
# Frames further apart than this, in pixels, are no neighbours.
FARTHEST_PX = 256.0
# Of upstream: flow counts as at most so many cells of the grid, points as visible from this depth on (in
# units of their own depth), and pairs only where so much of both images is visible.
_MOST_CELLS = 100.0
_NEAREST = 0.2
_SHARE = 0.7


@dataclass(frozen=True, kw_only=True)
class Graph:
    """The neighbours of frame i, in order, and their distances in pixels.

    They are ``neighbours[first[i]:first[i + 1]]`` and ``flows[first[i]:first[i + 1]]``.
    """

    first: npt.NDArray[np.int64]
    neighbours: npt.NDArray[np.int64]
    flows: Floats

    def __len__(self) -> int:
        return len(self.first) - 1

    def of(self, frame: int) -> tuple[npt.NDArray[np.int64], Floats]:
        """The neighbours of a frame and their distances in pixels."""
        part = slice(self.first[frame], self.first[frame + 1])
        return self.neighbours[part], self.flows[part]

    def within(self, frame: int, fmin: float, fmax: float) -> npt.NDArray[np.int64]:
        """The neighbours whose distance lies between two, in pixels."""
        neighbours, flows = self.of(frame)
        return neighbours[(flows > fmin) & (flows < fmax)]


def build_graph(distances: Floats) -> Graph:
    """The graph of distances [n, n] in pixels."""
    near = distances < FARTHEST_PX
    np.fill_diagonal(near, val=False)
    frames, neighbours = np.nonzero(near)
    first = np.searchsorted(frames, np.arange(len(distances) + 1))
    return Graph(first=first, neighbours=neighbours, flows=distances[frames, neighbours])


def measure_flow(poses: Doubles, disparities: Floats, camera: Doubles) -> Floats:
    """Distances [n, n] in pixels, infinite where two frames hardly see the same, 0 of a frame to itself.

    Args:
        poses: [n, 7] camera to world, ``tx ty tz qx qy qz qw``.
        disparities: [n, h, w] one over the depth in the poses' unit, at every 16th pixel.
        camera: ``fx fy cx cy`` in pixels of the whole image.
    """
    cells = camera / GRID_PX
    count = len(poses)
    rotations, positions = to_matrices(poses)
    rays = cast_rays(disparities.shape[1], disparities.shape[2], cells)
    flat = disparities.reshape(count, -1)
    distances = np.zeros((count, count), np.float32)
    for frame in range(count - 1):
        others = np.arange(frame + 1, count)
        here = np.full(len(others), frame)
        there = _measure_way(rotations, positions, flat, rays, cells, here, others)
        back = _measure_way(rotations, positions, flat, rays, cells, others, here)
        row = _combine(there, back)
        distances[frame, others] = distances[others, frame] = GRID_PX * row
    return distances


def to_matrices(poses: Doubles) -> tuple[Doubles, Doubles]:
    """Rotations [n, 3, 3] and positions [n, 3] of poses [n, 7] with quaternions of length 1."""
    x, y, z, w = poses[:, 3:].T
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
        [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
        [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
    ]
    return np.moveaxis(np.array(rows), 2, 0), poses[:, :3]


def cast_rays(height: int, width: int, camera: Doubles) -> Doubles:
    """The points [3, height * width] at depth 1 that pixels show."""
    fx, fy, cx, cy = camera
    y, x = np.mgrid[:height, :width]
    return np.stack([(x - cx) / fx, (y - cy) / fy, np.ones_like(x, float)]).reshape(3, -1)


def move(
    rotations: Doubles,
    positions: Doubles,
    flat: Floats,
    rays: Doubles,
    one: npt.NDArray[np.int64],
    other: npt.NDArray[np.int64],
) -> Floats:
    """Points [m, 3, p] that m cameras see, in the coordinates of m others, in units of their depth."""
    turned = np.swapaxes(rotations[other], 1, 2)
    relative = (turned @ rotations[one]).astype(np.float32)
    shift = (turned @ (positions[one] - positions[other])[:, :, None]).astype(np.float32)
    return np.asarray(relative @ rays.astype(np.float32) + shift * flat[one][:, None, :], np.float32)


def project(points: Floats, camera: Doubles) -> tuple[Floats, Floats]:
    """Where points [m, 3, p] are seen, x and y [m, p] in pixels, as upstream does it near the camera."""
    fx, fy, cx, cy = camera.astype(np.float32)
    depth = np.where(points[:, 2] < 0.5 * _NEAREST, np.float32(1), points[:, 2])
    return fx * points[:, 0] / depth + cx, fy * points[:, 1] / depth + cy


def _measure_way(
    rotations: Doubles,
    positions: Doubles,
    flat: Floats,
    rays: Doubles,
    cells: Doubles,
    one: npt.NDArray[np.int64],
    other: npt.NDArray[np.int64],
) -> tuple[Floats, Floats]:
    """The flow from m frames to m others in cells, and what is visible, both summed up over the grid [m]."""
    points = move(rotations, positions, flat, rays, one, other)
    x, y = project(points, cells)
    home_x, home_y = project(rays[None].astype(np.float32), cells)
    flow = np.minimum(np.hypot(x - home_x, y - home_y), np.float32(_MOST_CELLS))
    visible = points[:, 2] > _NEAREST
    return np.asarray((flow * visible).mean(1)), np.asarray(visible.mean(1, dtype=np.float32))


def _combine(there: tuple[Floats, Floats], back: tuple[Floats, Floats]) -> Floats:
    share = (there[1] + back[1]) / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        flow = (there[0] + back[0]) / 2 / share
    return np.asarray(np.where(share < _SHARE, np.inf, flow), np.float32)
