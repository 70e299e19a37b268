"""Where the camera really was, in each dataset's own words."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slam.dataset import tum
from slam.dataset.euroc import CAMERA_IN_BODY, LEFT_RECTIFICATION, seconds_from_nanoseconds
from slam.dataset.sequence import PLACES, SECONDS, Units
from slam.dataset.tartanair import GROUND_TRUTH as TARTANAIR
from slam.errors import InputError
from slam.text import read_lines
from slam.trajectory import Trajectory, read_trajectory

# A drone's axes (north, east, down; the camera looks along the first) to a camera's (right, down, forward).
_TO_CAMERA_AXES = [1, 2, 0, 4, 5, 3, 6]


def read_groundtruth(path: Path) -> Trajectory:
    """The camera's true poses, camera to world: from a file in TUM format, of EuRoC or of TartanAir.

    EuRoC's is a ``.csv``, TartanAir's is called ``pose_left.txt``. EuRoC's poses are those of the drone's
    body; here they become the left camera's after rectification.

    Raises:
        InputError: the file is missing or malformed.
    """
    if path.suffix == ".csv":
        return _read_euroc(path)
    if path.name == TARTANAIR:
        return _read_tartanair(path)
    return read_trajectory(path)


def units_of_truth(path: Path) -> Units:
    """What a file for ``read_groundtruth`` is measured in."""
    if path.suffix == ".csv":
        return SECONDS
    if path.name == TARTANAIR:
        return Units(length="m", time="place in name order")
    return SECONDS if tum.holds(path.parent) else PLACES


def _read_euroc(path: Path) -> Trajectory:
    """``timestamp [ns], p x y z, q w x y z, …`` on each line."""
    from scipy.spatial.transform import Rotation

    stamps: list[str] = []
    rows: list[list[float]] = []
    expected = "expected `timestamp [ns],x,y,z,qw,qx,qy,qz,…`"
    for number, line in _require_file(path):
        stamp, *words = (word.strip() for word in line.split(","))
        rows.append(_parse(words[:7], f"{path}:{number}", expected))
        if not stamp.isdecimal() or (stamps and int(stamp) <= int(stamps[-1])):
            raise InputError(
                f"{path}:{number}: the timestamp {stamp!r} is no later one than that before; {expected}"
            )
        stamps.append(stamp)
    table = np.array(rows)
    body = Rotation.from_quat(np.roll(table[:, 3:], -1, axis=1))
    camera = np.array(CAMERA_IN_BODY).reshape(3, 4)
    turn = np.array(LEFT_RECTIFICATION.rotation).reshape(3, 3)
    return Trajectory(
        stamps=tuple(map(seconds_from_nanoseconds, stamps)),
        positions=table[:, :3] + body.apply(camera[:, 3]),
        quaternions=np.asarray((body * Rotation.from_matrix(camera[:, :3] @ turn.T)).as_quat()),
    )


def _read_tartanair(path: Path) -> Trajectory:
    """``x y z qx qy qz qw`` on each line, one for each image in name order."""
    expected = "expected `x y z qx qy qz qw` of one image"
    rows = [_parse(line.split(), f"{path}:{number}", expected) for number, line in _require_file(path)]
    table = np.array(rows)[:, _TO_CAMERA_AXES]
    return Trajectory(
        stamps=tuple(f"{place:.1f}" for place in range(len(rows))),
        positions=table[:, :3],
        quaternions=table[:, 3:],
    )


def _require_file(path: Path) -> list[tuple[int, str]]:
    if not path.exists():
        raise InputError(f"{path}: there is no such trajectory file")
    lines = read_lines(path)
    if not lines:
        raise InputError(f"{path}: no pose in it")
    return lines


def _parse(words: list[str], place: str, expected: str) -> list[float]:
    try:
        values = [float(word) for word in words]
    except ValueError as error:
        raise InputError(f"{place}: {error}; {expected}") from error
    if len(values) != 7 or not np.all(np.isfinite(values)):
        raise InputError(f"{place}: {len(values)} numbers; {expected}")
    if not np.isclose(np.linalg.norm(values[3:]), 1, atol=0.05):
        raise InputError(f"{place}: the quaternion's length is not 1; {expected}")
    return values
