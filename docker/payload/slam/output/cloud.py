"""Coloured point clouds."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slam.output.results import replacing

HEADER = """ply
format binary_little_endian 1.0
element vertex {count}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
end_header
"""


@dataclass(frozen=True, kw_only=True)
class Cloud:
    """``points`` [n, 3] in the trajectory's world and unit of length, ``colors`` [n, 3] red, green, blue."""

    points: npt.NDArray[np.float64]
    colors: npt.NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.points)


def thin(cloud: Cloud, most: int) -> Cloud:
    """At most so many of a cloud's points, spread evenly over it."""
    step = max(1, -(-len(cloud) // most))
    return Cloud(points=cloud.points[::step], colors=cloud.colors[::step])


def write_cloud(path: Path, cloud: Cloud) -> None:
    """Write a binary PLY file. http://paulbourke.net/dataformats/ply/."""
    vertices = np.empty(len(cloud), dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)])
    vertices["xyz"] = cloud.points
    vertices["rgb"] = cloud.colors
    with replacing(path) as part:
        part.write_bytes(HEADER.format(count=len(cloud)).encode("ascii") + vertices.tobytes())
