"""KITTI's ``calib.txt``: a projection matrix ``P0`` to ``P3`` a line (https://www.cvlibs.net/datasets/kitti)."""

from __future__ import annotations

import re

from slam.dataset.calibration.document import read_matrix
from slam.dataset.calibration.form import Calibration, Content, Form, Origin, make_camera
from slam.errors import InputError

_LINE = re.compile(r"P(\d):\s*(.*)")
_FOLDERS = {0: ("image_0", "left"), 1: ("image_1", "right"), 2: ("image_2",), 3: ("image_3",)}


def holds(content: Content) -> bool:
    """True where a line begins with ``P0:``."""
    return any(line.startswith("P0:") for _, line in content.lines)


def read(content: Content) -> tuple[Calibration, ...]:
    """The four cameras, whose images are rectified already.

    Raises:
        InputError: a line is none.
    """
    return tuple(
        Calibration(
            camera=make_camera(content.path, read_matrix(numbers, f"{content.path}: P{number}")),
            label=f"P{number}",
            folders=_FOLDERS.get(number, ()),
        )
        for number, numbers in read_projections(content).items()
    )


def read_projections(content: Content) -> dict[int, tuple[float, ...]]:
    """The matrices [3, 4] by rows, by their cameras' numbers.

    Raises:
        InputError: one has other than twelve numbers.
    """
    found: dict[int, tuple[float, ...]] = {}
    for number, line in content.lines:
        match = _LINE.fullmatch(line)
        if not match:
            continue
        try:
            found[int(match[1])] = tuple(map(float, match[2].split()))
        except ValueError as error:
            raise InputError(f"{content.path}:{number}: {error}; expected twelve numbers") from error
        if len(found[int(match[1])]) != 12:
            raise InputError(f"{content.path}:{number}: expected twelve numbers behind P{match[1]}:")
    return found


FORM = Form(
    name="KITTI",
    files="`calib.txt` with `P0:`",
    models="pinhole, rectified",
    origin=Origin.UNSAID,
    holds=holds,
    read=read,
)
