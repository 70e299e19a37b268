"""Trajectories in TUM format, read as a page needs them: what is no pose is skipped and counted."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from io import TextIOWrapper
from itertools import pairwise
from math import isfinite
from pathlib import Path

from slipway.page.found import open_regular

_MOST_BYTES = 32 << 20
_MOST_POSES = 400_000


@dataclass(frozen=True, kw_only=True)
class Path3:
    """A path: ``times`` [n], ``positions`` [3n] and ``quaternions`` [4n] as x y z w, from camera to world."""

    times: array[float]
    positions: array[float]
    quaternions: array[float]
    skipped: int = 0

    def __len__(self) -> int:
        return len(self.times)

    def position(self, index: int) -> tuple[float, float, float]:
        """The camera's centre at one pose."""
        x, y, z = self.positions[3 * index : 3 * index + 3]
        return x, y, z

    @property
    def length(self) -> float:
        """How long the path is, in its unit of length."""
        points = [self.position(index) for index in range(len(self))]
        return sum(distance(*pair) for pair in pairwise(points))

    def thinned(self, most: int) -> list[int]:
        """Indices of at most so many poses, evenly, with the last one."""
        count = len(self)
        return list(range(count)) if count <= most else [i * (count - 1) // (most - 1) for i in range(most)]


def distance(one: tuple[float, float, float], other: tuple[float, float, float]) -> float:
    """How far apart two points are."""
    return float(sum((a - b) ** 2 for a, b in zip(one, other, strict=True)) ** 0.5)


def read_tum(path: Path) -> Path3:
    """Read ``timestamp tx ty tz qx qy qz qw`` lines, also with commas; times that go back are skipped.

    Raises:
        OSError: it cannot be read, or is larger than a trajectory is.
        ValueError: there is no pose in it.
    """
    times, positions, quaternions = array("d"), array("d"), array("d")
    skipped = 0
    with TextIOWrapper(open_regular(path), encoding="utf-8", errors="replace") as file:
        for line in file.read(_MOST_BYTES).splitlines():
            words = line.replace(",", " ").split()
            if not words or words[0].startswith("#"):
                continue
            pose = _pose(words)
            if pose is None or (times and pose[0] <= times[-1]) or len(times) >= _MOST_POSES:
                skipped += 1
                continue
            times.append(pose[0])
            positions.extend(pose[1:4])
            quaternions.extend(pose[4:8])
    if not times:
        raise ValueError("there is no pose in it")
    return Path3(times=times, positions=positions, quaternions=quaternions, skipped=skipped)


def _pose(words: list[str]) -> list[float] | None:
    if len(words) != 8:
        return None
    try:
        pose = [float(word) for word in words]
    except ValueError:
        return None
    # Larger coordinates than these cannot be told apart from one another in a picture.
    return pose if all(isfinite(value) and abs(value) < 1e15 for value in pose) else None
