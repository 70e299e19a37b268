"""Camera trajectories, and their files in TUM format as they are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slam.output.results import replacing

Floats = npt.NDArray[np.float64]

# What poses can be of, where a dataset has several: its body (the IMU), the left camera as its images are
# after rectification, and the left camera as it took them.
BODY, CAMERA, RAW_CAMERA = "body", "camera", "raw-camera"
_MOST_PLACES = 10_000_000
FRAMES = (BODY, CAMERA, RAW_CAMERA)


@dataclass(frozen=True, kw_only=True)
class Trajectory:
    """Camera-to-world poses.

    ``stamps`` are n timestamps as they stand in their file (seconds, or the place in an ordered folder),
    ``positions`` [n, 3] the camera's centres in the world, in its unit of length, and ``quaternions`` [n, 4]
    the rotations from camera to world as ``x y z w``. ``frame`` is one of :data:`FRAMES` where it is known
    what moves. Poses that came without timestamps (not ``is_timed``) have their places in their file for
    these. ``matrices`` [n, 3, 3] are the rotations of a file that has matrices, as it rounds them.
    """

    stamps: tuple[str, ...]
    positions: Floats
    quaternions: Floats
    frame: str | None = None
    is_timed: bool = True
    matrices: Floats | None = None

    @property
    def times(self) -> Floats:
        """The timestamps [n] as numbers."""
        return np.array([float(stamp) for stamp in self.stamps])

    @property
    def has_places(self) -> bool:
        """Whether the timestamps are places of images in their order, and no times."""
        times = self.times
        return bool(np.all(times == np.floor(times)) and np.all(times < _MOST_PLACES))

    @property
    def counts_places(self) -> bool:
        """Whether the timestamps are 0, 1, 2 and so on, or from 1 on; some may be left out."""
        times = self.times
        return self.has_places and 0 <= times[0] <= 1 and bool(np.median(np.diff(times)) == 1)

    def __len__(self) -> int:
        return len(self.stamps)


def write_trajectory(path: Path, trajectory: Trajectory) -> None:
    """Write a trajectory in TUM format, timestamps as they came, and whose poses they are."""
    rows = np.hstack([trajectory.positions, trajectory.quaternions])
    lines = ["# timestamp tx ty tz qx qy qz qw"]
    if trajectory.frame is not None:
        lines.append(f"# frame: {trajectory.frame}")
    for stamp, row in zip(trajectory.stamps, rows, strict=True):
        lines.append(" ".join([stamp, *(f"{value:.9f}" for value in row)]))
    with replacing(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
