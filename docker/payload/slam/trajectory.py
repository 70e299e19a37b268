"""Camera trajectories and their files in TUM format."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slam.errors import InputError
from slam.output.results import replacing
from slam.text import read_lines, to_seconds

Floats = npt.NDArray[np.float64]

EXPECTED = "expected `timestamp tx ty tz qx qy qz qw`"
# Files round their quaternions to as little as three digits; more than this is another order or no rotation.
NORM_TOLERANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Camera-to-world poses.

    ``stamps`` are n timestamps as they stand in their file (seconds, or the place in an ordered folder),
    ``positions`` [n, 3] the camera's centres in the world, in its unit of length, and ``quaternions`` [n, 4]
    the rotations from camera to world as ``x y z w``.
    """

    stamps: tuple[str, ...]
    positions: Floats
    quaternions: Floats

    @property
    def times(self) -> Floats:
        """The timestamps [n] as numbers."""
        return np.array([float(stamp) for stamp in self.stamps])

    def __len__(self) -> int:
        return len(self.stamps)


def read_trajectory(path: Path) -> Trajectory:
    """Read a trajectory in TUM format; ``#`` comments and empty lines are skipped.

    Timestamps that are larger than seconds can be are taken for what they are (:func:`slam.text.to_seconds`).

    https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats#ground-truth_trajectories

    Raises:
        InputError: the file is missing, cannot be read or holds no pose, or a line is not a pose or not later
            than the one before.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such trajectory file")
    stamps: list[str] = []
    poses: list[list[float]] = []
    for number, line in read_lines(path):
        words = line.split()
        poses.append(_parse_pose(words, f"{path}:{number}"))
        stamp = to_seconds(words[0])
        if stamps and float(stamp) <= float(stamps[-1]):
            raise InputError(
                f"{path}:{number}: {stamp} is not after {stamps[-1]}; sort the lines by their timestamps, "
                "and keep one for each"
            )
        stamps.append(stamp)
    if not poses:
        raise InputError(f"{path}: no pose in it; {EXPECTED} on each line")
    table = np.array(poses)
    return Trajectory(stamps=tuple(stamps), positions=table[:, :3], quaternions=table[:, 3:])


def _parse_pose(words: list[str], place: str) -> list[float]:
    """The seven numbers after the timestamp."""
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"{place}: {error}; {EXPECTED}") from error
    if len(values) != 8:
        raise InputError(f"{place}: {len(values)} numbers; {EXPECTED}")
    if not np.all(np.isfinite(values)):
        raise InputError(f"{place}: a number is not finite; {EXPECTED}")
    norm = float(np.linalg.norm(values[4:]))
    if abs(norm - 1) > NORM_TOLERANCE:
        raise InputError(f"{place}: the quaternion's length is {norm:.3g}, not 1; {EXPECTED}")
    return values[1:]


def write_trajectory(path: Path, trajectory: Trajectory) -> None:
    """Write a trajectory in TUM format, timestamps letter by letter as they came."""
    rows = np.hstack([trajectory.positions, trajectory.quaternions])
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    for stamp, row in zip(trajectory.stamps, rows, strict=True):
        lines.append(" ".join([stamp, *(f"{value:.9f}" for value in row)]))
    with replacing(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
