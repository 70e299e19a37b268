"""A file of poses as a trajectory, and what a person should know of how it was read."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from slam.errors import InputError
from slam.posefile.bag import BAG, is_bag, read_bag
from slam.posefile.clock import NANOSECONDS, SECONDS, Clock, find_clock, to_seconds
from slam.posefile.format import (
    EUROC,
    TUM,
    Format,
    find_columns,
    find_format,
    parse_row,
    require_rotation,
)
from slam.posefile.order import Row, drop_empty, tidy
from slam.text import read_comments, read_lines
from slam.trajectory import FRAMES, Trajectory


@dataclass(frozen=True, kw_only=True)
class PoseFile:
    """What is in a file; ``notes`` say what was guessed, left out or changed.

    ``as_it_stands`` has its double and unsorted rows too, where there are any.
    """

    path: Path
    format: Format
    trajectory: Trajectory
    as_it_stands: Trajectory | None = None
    notes: tuple[str, ...] = ()


def read_posefile(
    path: Path, *, strict: bool = False, only: Format | None = None, topic: str | None = None
) -> PoseFile:
    """Read poses in the format of TUM, KITTI, EuRoC or TartanAir, as the first line is, or a ROS bag.

    ``only`` is the one that it has to be in, where one is. ``topic`` is that of a bag.
    Empty lines and ``#`` comments are skipped. Poses without timestamps get their places, from 0.0 on. Units
    of timestamps are told by their size and become seconds. Rows without numbers and second rows of a moment
    are left out, others are sorted, and a note says so.

    Raises:
        InputError: the file is missing, cannot be read or holds no pose, a line is not one of its format, or
            ``strict`` and a row would be left out or moved.
    """
    if not path.exists():
        raise InputError(f"{path}: there is no such trajectory file")
    if is_bag(path):
        return _make(path, BAG, read_bag(path, topic), (), strict=strict)
    comments, lines = read_comments(path), read_lines(path)
    if lines and ";" in lines[0][1] and "," not in lines[0][1]:
        # As spreadsheets write tables in countries where a comma stands before fractions.
        lines = [(number, line.replace(";", ",")) for number, line in lines]
    header = next((line for line in reversed(comments) if "," in line), "")
    if lines and "," in lines[0][1] and not _begins_with_number(lines[0][1]):
        header, lines = lines[0][1], lines[1:]
    if not lines:
        raise InputError(f"{path}: no pose in it; {TUM.expected} on each line, for example")
    form = only or find_format(lines[0][1], header, f"{path}:{lines[0][0]}")
    poses = _make(path, form, _parse(path, form, lines), comments, strict=strict)
    if form != EUROC or find_columns(header):
        return poses
    guess = f"{path}: nothing names its columns, which are taken for EuRoC's: {EUROC.expected}"
    return replace(poses, notes=(*poses.notes, guess))


def _make(
    path: Path, form: Format, every: Sequence[Row], comments: Sequence[str], *, strict: bool
) -> PoseFile:
    found, lost = drop_empty(every, str(path), strict=strict)
    rows, unsorted = tidy(found, str(path), strict=strict)
    clock = _find_clock(form, rows)
    said = f"{path}: timestamps such as {rows[0].stamp} are taken for {clock.name}"
    frame = _find_frame(comments) or form.frame
    return PoseFile(
        path=path,
        format=form,
        trajectory=_make_trajectory(path, form, rows, clock, frame),
        as_it_stands=_make_trajectory(path, form, found, clock, frame) if unsorted else None,
        notes=(*lost, *unsorted, *((said,) if clock.digits and not form.stamps_ns else ())),
    )


def _begins_with_number(line: str) -> bool:
    try:
        float(line.split(",")[0])
    except ValueError:
        return False
    return True


def _parse(path: Path, form: Format, lines: list[tuple[int, str]]) -> list[Row]:
    rows: list[Row] = []
    for place, (number, line) in enumerate(lines):
        stamp, values = parse_row(line, form, f"{path}:{number}")
        rows.append(Row(number=number, stamp=stamp or f"{place:.1f}", values=values))
    return rows


def _find_clock(form: Format, rows: list[Row]) -> Clock:
    if not form.is_timed:
        return SECONDS
    if form.stamps_ns and all(row.stamp.isdecimal() for row in rows):
        return NANOSECONDS
    return find_clock([Decimal(row.stamp) for row in rows])


def _make_trajectory(
    path: Path, form: Format, rows: list[Row], clock: Clock, frame: str | None
) -> Trajectory:
    table = np.array([row.values for row in rows])
    for row, values in zip(rows, table, strict=True):
        require_rotation(values, form, f"{path}:{row.number}")
    stamps = tuple(to_seconds(row.stamp, clock) for row in rows)
    if form.columns:
        return Trajectory(
            stamps=stamps,
            positions=table[:, :3],
            quaternions=table[:, 3:],
            is_timed=form.is_timed,
            frame=frame,
        )
    from scipy.spatial.transform import Rotation

    poses = table.reshape(-1, 3, 4)
    return Trajectory(
        stamps=stamps,
        positions=poses[:, :, 3],
        quaternions=np.asarray(Rotation.from_matrix(poses[:, :, :3]).as_quat()),
        matrices=poses[:, :, :3],
        is_timed=False,
        frame=frame,
    )


def _find_frame(comments: Sequence[str]) -> str | None:
    """What a file says that its poses are of: ``# frame: camera``."""
    words = (re.fullmatch(r"frame:\s*(\S+)", line) for line in comments)
    return next((word[1] for word in words if word and word[1] in FRAMES), None)
