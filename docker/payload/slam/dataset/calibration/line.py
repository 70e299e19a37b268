"""Our own ``calib.txt``: one line of numbers, or a 3x3 matrix; commas and brackets are no matter."""

from __future__ import annotations

import math
import re
from pathlib import Path

from slam.dataset.calibration.document import read_matrix
from slam.dataset.calibration.form import Calibration, Content, Form, Origin, make_camera
from slam.dataset.camera import Intrinsics
from slam.errors import InputError
from slam.text import read_lines

EXPECTED = "expected `fx fy cx cy`, then nothing, `k1 k2 p1 p2`, `… k3` or `… k3 k4 k5 k6`, in pixels"
_SEPARATORS = re.compile(r"[,;\[\]()\s]+")


def holds(content: Content) -> bool:
    """True for text that begins with a number."""
    return content.table is None and bool(content.lines) and _is_number(_split(content.lines[0][1])[:1])


def read(content: Content) -> tuple[Calibration, ...]:
    """The camera of one line, or of three lines that are a matrix; after these there may be its distortion.

    Raises:
        InputError: it is not laid out so.
    """
    rows = [(f"{content.path}:{number}", _parse(content, number, line)) for number, line in content.lines]
    if len(rows) in (3, 4) and all(len(row) == 3 for _, row in rows[:3]):
        place = f"{content.path}:{content.lines[0][0]}"
        pinhole = read_matrix(tuple(value for _, row in rows[:3] for value in row), place)
        return (Calibration(camera=make_camera(content.path, pinhole, *(row for _, row in rows[3:]))),)
    if len(rows) != 1:
        raise InputError(f"{content.path}: {len(rows)} lines of numbers; {EXPECTED} on one line")
    ((place, values),) = rows
    if len(values) == 9 and (values[1], values[3], *values[6:]) == (0, 0, 0, 0, 1):
        values = read_matrix(values, place)
    if len(values) not in (4, 8, 9, 12):
        raise InputError(f"{place}: {len(values)} numbers in {content.lines[0][1]!r}; {EXPECTED}")
    if values[0] <= 0 or values[1] <= 0:
        raise InputError(f"{place}: the focal lengths {values[0]:g} and {values[1]:g} must be positive")
    return (Calibration(camera=make_camera(content.path, values[:4], values[4:])),)


def _parse(content: Content, number: int, line: str) -> tuple[float, ...]:
    try:
        values = tuple(map(float, _split(line)))
    except ValueError as error:
        raise InputError(f"{content.path}:{number}: {error}; {EXPECTED}") from error
    if not all(map(math.isfinite, values)):
        raise InputError(f"{content.path}:{number}: {len(values)} numbers in {line!r}; {EXPECTED}")
    return values


def _split(line: str) -> list[str]:
    return [word for word in _SEPARATORS.split(line) if word]


def _is_number(words: list[str]) -> bool:
    try:
        return bool(words) and float(words[0]) == float(words[0])
    except ValueError:
        return False


def read_calibration(path: Path) -> Intrinsics:
    """The camera in a file of numbers.

    Raises:
        InputError: the file cannot be read or is not laid out so.
    """
    (found,) = read(Content(path=path, lines=tuple(read_lines(path))))
    return found.camera


FORM = Form(
    name="numbers",
    files="`calib.txt`, `calibration.txt`, `camera.txt`, `intrinsics.txt`, `K.txt`",
    models="`fx fy cx cy [k1 k2 p1 p2 [k3 [k4 k5 k6]]]`; 3x3 matrix, below it a line of distortion",
    origin=Origin.UNSAID,
    holds=holds,
    read=read,
)
