"""Which format a file of poses has, told by how many numbers stand on its lines."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from slam.errors import InputError
from slam.trajectory import Floats

# Files round their rotations to as little as three digits; more than this is another order or no rotation.
TOLERANCE = 0.05


@dataclass(frozen=True, kw_only=True)
class Format:
    """How poses stand in a file: a ``stamp`` where it has them, then these ``columns`` of numbers.

    ``columns`` gives the place of ``x y z qx qy qz qw`` among the numbers behind the stamp; it is empty where
    a line is the upper three rows of a matrix. ``named`` are the places on a line, by the file's header, of
    the stamp and of the numbers of ``columns``. ``stamps_ns`` says that whole numbers are nanoseconds.
    """

    name: str
    expected: str
    width: int
    columns: tuple[int, ...] = ()
    is_timed: bool = True
    has_commas: bool = False
    named: tuple[int, ...] = ()
    stamps_ns: bool = False
    frame: str | None = None


# https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats#ground-truth_trajectories
TUM = Format(name="TUM", expected="`timestamp tx ty tz qx qy qz qw`", width=8, columns=(0, 1, 2, 3, 4, 5, 6))
# https://www.cvlibs.net/datasets/kitti/eval_odometry.php, devkit/readme.txt
KITTI = Format(name="KITTI", expected="the 12 numbers of a 3x4 matrix, row by row", width=12, is_timed=False)
# A drone's axes (north, east, down; the camera looks along the first) to a camera's (right, down, forward).
TARTANAIR = Format(
    name="TartanAir",
    expected="`x y z qx qy qz qw` of one image",
    width=7,
    columns=(1, 2, 0, 4, 5, 3, 6),
    is_timed=False,
)
# https://projects.asl.ethz.ch/datasets/doku.php?id=kmavvisualinertialdatasets: of the body, which is the IMU.
EUROC = Format(
    name="EuRoC",
    expected="`timestamp [ns],x,y,z,qw,qx,qy,qz,…`",
    width=8,
    columns=(0, 1, 2, 4, 5, 6, 3),
    has_commas=True,
    stamps_ns=True,
    frame="body",
)
CSV = Format(
    name="CSV",
    expected="`timestamp,x,y,z,qx,qy,qz,qw`, as the first line says",
    width=8,
    columns=(0, 1, 2, 3, 4, 5, 6),
    has_commas=True,
)
EUROC_COLUMNS = (0, 1, 2, 3, 5, 6, 7, 4)
# How columns are called that hold a part of a quaternion or of a position.
_TURN = re.compile(r"(^|[^a-z])(q|quat|quaternion|orientation|rotation|rot)([^a-z].*)?[wxyz]$")
_SHIFT = re.compile(r"^[xyz]$|(^|[^a-z])(t|p|pos|position|trans|translation)([^a-z].*)?[xyz]$")
_BY_WIDTH = {one.width: one for one in (TUM, KITTI, TARTANAIR)}


def find_format(line: str, header: str, place: str) -> Format:
    """The format whose lines look like this one; ``header`` names the columns where commas part them.

    Raises:
        InputError: there is none.
    """
    if "," in line:
        named = find_columns(header)
        return EUROC if named in ((), EUROC_COLUMNS) else replace(CSV, named=named)
    width = len(line.split())
    if width not in _BY_WIDTH:
        known = ", ".join(f"{one.expected} ({one.name})" for one in (TUM, KITTI, EUROC))
        raise InputError(f"{place}: {width} numbers; expected {known}")
    return _BY_WIDTH[width]


def find_columns(header: str) -> tuple[int, ...]:
    """Where on a line of a CSV file stand ``timestamp x y z qx qy qz qw``; empty where no header says so.

    Names such as ``tx``, ``p_RS_R_x [m]`` or ``field.pose.position.x`` are understood, and ``qw``, ``q_RS_w``
    or ``field.pose.orientation.w``; of several the first.
    """
    names = [re.sub(r"\[.*?\]", "", name).strip().lower() for name in header.split(",")]
    turns = [place for place, name in enumerate(names) if _TURN.search(name)]
    shifts = [place for place, name in enumerate(names) if _SHIFT.search(name) and place not in turns]
    times = [place for word in ("stamp", "time") for place, name in enumerate(names) if word in name]
    times += [0] if 0 not in (*turns, *shifts) else []

    def first(places: list[int], axis: str) -> list[int]:
        return [place for place in places if names[place].endswith(axis)][:1]

    found = [*times[:1], *(one for axis in "xyz" for one in first(shifts, axis))]
    found += [one for axis in "xyzw" for one in first(turns, axis)]
    return tuple(found) if len(found) == CSV.width else ()


def parse_row(line: str, form: Format, place: str) -> tuple[str, list[float]]:
    """A line's timestamp, empty where the format has none, and its numbers in the order of ``columns``.

    Raises:
        InputError: it is no line of this format.
    """
    words = [word.strip() for word in line.split(",")] if form.has_commas else line.split()
    if form.named and len(words) > max(form.named):
        words = [words[column] for column in form.named]
    try:
        values = [float(word) for word in words[: form.width]]
    except ValueError as error:
        raise InputError(f"{place}: {error}; expected {form.expected}") from error
    if len(values) != form.width or (len(words) > form.width and not form.has_commas):
        raise InputError(f"{place}: {len(words)} numbers; expected {form.expected}")
    if not form.columns:
        return "", values
    stamp, values = (words[0], values[1:]) if form.is_timed else ("", values)
    return stamp, [values[column] for column in form.columns]


def require_rotation(values: Floats, form: Format, place: str) -> None:
    """Make sure that the numbers of one row hold a rotation.

    Raises:
        InputError: the quaternion's length is not 1, or the matrix is none of a rotation.
    """
    if form.columns:
        norm = float(np.linalg.norm(values[3:]))
        if abs(norm - 1) > TOLERANCE:
            raise InputError(
                f"{place}: the quaternion's length is {norm:.3g}, not 1; expected {form.expected}"
            )
        return
    turn = values.reshape(3, 4)[:, :3]
    if np.abs(turn @ turn.T - np.eye(3)).max() > TOLERANCE or np.linalg.det(turn) < 0:
        raise InputError(f"{place}: the matrix is no rotation and translation; expected {form.expected}")
