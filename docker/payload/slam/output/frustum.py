"""Cameras as pyramids: where each was, what it looked at, which way was up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from slam.output.camera import Camera
from slam.output.cloud import Cloud
from slam.output.pose import matrices
from slam.output.results import replacing
from slam.trajectory import Floats, Trajectory

HEADER = """ply
format binary_little_endian 1.0
comment cameras as pyramids, from the first (blue) to the last (red)
element vertex {vertices}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
element face {faces}
property list uchar int vertex_indices
end_header
"""
FIRST, LAST = (31, 111, 214), (214, 56, 47)
# The centre is 0, the image's corners 1 to 4 from the upper left one on, 5 is above the image's upper edge.
TRIANGLES = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 4], [0, 4, 1], [1, 5, 2]])
_CORNERS = 6
# More of them hide each other, and the cloud.
MOST_PYRAMIDS = 200
# Parts of the path's extent, and of that of the points' bulk where the camera hardly moved.
_OF_PATH, _OF_CLOUD = 0.05, 0.02
_BULK = (5, 95)


def measure_depth(trajectory: Trajectory, cloud: Cloud) -> float:
    """How long pyramids are, in the world's unit, so that they are seen and do not hide each other."""
    path = float(np.linalg.norm(np.ptp(trajectory.positions, axis=0)))
    if not len(cloud):
        return _OF_PATH * path or 1.0
    low, high = np.percentile(cloud.points, _BULK, axis=0)
    return max(_OF_PATH * path, _OF_CLOUD * float(np.linalg.norm(high - low))) or 1.0


def corners(camera: Camera, depth: float) -> Floats:
    """The pyramid's corners [6, 3] in the camera's own axes: x right, y down, z ahead."""
    fx, fy, cx, cy = (camera.named()[name] for name in ("fx", "fy", "cx", "cy"))
    left, right = -cx / fx, (camera.width - cx) / fx
    top, bottom = -cy / fy, (camera.height - cy) / fy
    above = top - 0.25 * (bottom - top)
    points = [
        [0, 0, 0],
        [left, top, 1],
        [right, top, 1],
        [right, bottom, 1],
        [left, bottom, 1],
        [(left + right) / 2, above, 1],
    ]
    placed: Floats = depth * np.array(points, dtype=np.float64)
    return placed


def write_frustums(path: Path, camera: Camera, trajectory: Trajectory, depth: float) -> None:
    """Write a mesh of pyramids as binary PLY, ``depth`` long: one a pose, of many poses 200 spread evenly."""
    every = np.linspace(0, len(trajectory) - 1, min(len(trajectory), MOST_PYRAMIDS))
    poses = matrices(trajectory)[np.rint(every).astype(int)]
    points = corners(camera, depth) @ poses[:, :, :3].transpose(0, 2, 1) + poses[:, None, :, 3]
    vertices = np.empty(points.shape[:2], dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)])
    vertices["xyz"] = points
    vertices["rgb"] = _colors(len(points))[:, None]
    first = _CORNERS * np.arange(len(points))[:, None, None]
    faces = np.empty((len(points), len(TRIANGLES)), dtype=[("count", "u1"), ("corners", "<i4", 3)])
    faces["count"] = 3
    faces["corners"] = first + TRIANGLES
    header = HEADER.format(vertices=vertices.size, faces=faces.size)
    with replacing(path) as part:
        part.write_bytes(header.encode("ascii") + vertices.tobytes() + faces.tobytes())


def _colors(count: int) -> npt.NDArray[np.uint8]:
    """From the first pose's colour to the last one's [n, 3]."""
    share = np.linspace(0, 1, count)[:, None]
    return np.rint((1 - share) * FIRST + share * LAST).astype(np.uint8)
