"""What a dataset says of which way is up: the world of its ground truth, and its accelerometer."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slam.dataset.camera import tum_intrinsics
from slam.dataset.euroc import CAMERA_IN_BODY, IMAGES, SENSOR
from slam.dataset.sequence import Sequence
from slam.dataset.tartanair import GROUND_TRUTH as TARTANAIR

Floats = npt.NDArray[np.float64]

ACCELEROMETER = Path("imu0", "data.csv")
# The columns of EuRoC's imu0/data.csv: nanoseconds, then three angular rates, then m/s² in the body's axes.
_COLUMNS = (0, 4, 5, 6)
# Readings so near to a frame count for it: vibrations are faster, and hands are not.
_WINDOW_S = 0.1


def axis_of_truth(path: Path) -> tuple[str, str] | None:
    """Which axis of a ground truth's world points up, and whose ground truth that is; ``None``: not known.

    EuRoC's and TUM's worlds are levelled, z up. TartanAir's has z down, which is y once the poses have a
    camera's axes (:mod:`slam.posefile.format`).
    """
    if path.suffix == ".csv":
        return "z", "EuRoC"
    if path.name == TARTANAIR:
        return "-y", "TartanAir"
    return ("z", "TUM") if tum_intrinsics(path.resolve().parent.name) else None


def read_rises(sequence: Sequence, times: Floats, turn: tuple[float, ...] | None) -> Floats | None:
    """What an accelerometer measured around some moments, in the axes of the camera.

    Args:
        sequence: of EuRoC's layout, else there is none.
        times: [n] seconds.
        turn: a rotation matrix, row by row, from the left camera's axes to those that are meant.

    Returns:
        [n, 3] in m/s², NaN where nothing was measured; at rest it points up. ``None`` where there is no
        such file, or it is not as it should be: a figure is not worth an error.
    """
    image = sequence.frames[0].image
    if image.parent.parts[-len(IMAGES.parts) :] != IMAGES.parts:
        return None
    home = image.parents[len(IMAGES.parts)]
    try:
        table = np.loadtxt(home / ACCELEROMETER, delimiter=",", usecols=_COLUMNS, ndmin=2)
        in_body = _camera_in_body(home / SENSOR)
    except (OSError, ValueError):
        return None
    camera: Floats = _average(table[:, 0] / 1e9, table[:, 1:], times) @ in_body
    if turn is not None:
        camera = camera @ np.array(turn).reshape(3, 3).T
    return camera


def _camera_in_body(path: Path) -> Floats:
    """The rotation [3, 3] from camera to body: ``T_BS`` in its sensor.yaml, else that of EuRoC's."""
    if not path.exists():
        return np.array(CAMERA_IN_BODY)[:, :3]
    found = re.search(r"T_BS:.*?data:\s*\[(.*?)\]", path.read_text(encoding="utf-8"), re.DOTALL)
    if found is None:
        raise ValueError("it does not say how the camera lies in the body")
    return np.array([float(word) for word in found[1].split(",")]).reshape(4, 4)[:3, :3]


def _average(stamps: Floats, values: Floats, times: Floats) -> Floats:
    """The mean of the values [m, 3] around each time [n], NaN where there are none."""
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(values, axis=0)])
    first, last = (np.searchsorted(stamps, times + shift) for shift in (-_WINDOW_S, _WINDOW_S))
    counts = np.where(last > first, (last - first).astype(float), np.nan)
    means: Floats = (sums[last] - sums[first]) / counts[:, None]
    return means
