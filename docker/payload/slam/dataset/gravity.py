"""What a dataset says of which way is up: the world of its ground truth, and its accelerometer."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from slam.dataset.camera import tum_intrinsics
from slam.dataset.euroc import GROUND_TRUTH, IMAGES
from slam.dataset.groundtruth import find_mount
from slam.dataset.sequence import Sequence
from slam.errors import InputError
from slam.posefile.format import EUROC, TARTANAIR, TUM, Format
from slam.trajectory import Floats

ACCELEROMETER = Path("imu0", "data.csv")
# The columns of EuRoC's imu0/data.csv: nanoseconds, then three angular rates, then m/s² in the body's axes.
_COLUMNS = (0, 4, 5, 6)
# Readings so near to a frame count for it: vibrations are faster, and hands are not.
_WINDOW_S = 0.1


def axis_of_truth(path: Path, truth: Format) -> str | None:
    """Which axis of a ground truth's world points up; ``None``: not known.

    EuRoC's and TUM's worlds are levelled, z up. TartanAir's has z down, which is y once the poses have a
    camera's axes (:mod:`slam.posefile.format`).
    """
    if truth == TARTANAIR:
        return "-y"
    is_published = truth == TUM and tum_intrinsics(path.resolve().parent.name) is not None
    return "z" if is_published or truth == EUROC else None


def read_rises(sequence: Sequence, times: Floats) -> Floats | None:
    """What an accelerometer measured around some moments, in the axes of the camera whose poses are found.

    Args:
        sequence: of EuRoC's layout, else there is none.
        times: [n] seconds.

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
        mount = find_mount(home / GROUND_TRUTH)
    except (InputError, OSError, ValueError):
        return None
    if mount is None or sequence.frame is None:
        return None
    in_body = mount.rotation(sequence.frame)
    camera: Floats = _average(table[:, 0] / 1e9, table[:, 1:], times) @ in_body
    return camera


def _average(stamps: Floats, values: Floats, times: Floats) -> Floats:
    """The mean of the values [m, 3] around each time [n], NaN where there are none."""
    sums = np.concatenate([np.zeros((1, 3)), np.cumsum(values, axis=0)])
    first, last = (np.searchsorted(stamps, times + shift) for shift in (-_WINDOW_S, _WINDOW_S))
    counts = np.where(last > first, (last - first).astype(float), np.nan)
    means: Floats = (sums[last] - sums[first]) / counts[:, None]
    return means
