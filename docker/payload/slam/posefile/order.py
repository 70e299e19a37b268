"""Rows of poses in the order of time: one for each moment, and numbers in all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from slam.errors import InputError

MOST_LISTED = 3


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line: its ``number`` in the file, its timestamp, and its numbers as the format orders them."""

    number: int
    stamp: str
    values: Sequence[float]


def drop_empty(rows: Sequence[Row], name: str, *, strict: bool) -> tuple[list[Row], tuple[str, ...]]:
    """Leave out rows in which a number is not finite; with a note of how many there were.

    Raises:
        InputError: there is one, and ``strict`` allows none; or there is no other.
    """
    finite = [bool(np.isfinite([float(row.stamp), *row.values]).all()) for row in rows]
    kept = [row for row, is_finite in zip(rows, finite, strict=True) if is_finite]
    lost = [row for row, is_finite in zip(rows, finite, strict=True) if not is_finite]
    if not kept:
        raise InputError(f"{name}: no row in it has a finite number in each place")
    what = "have a number that is not finite"
    return kept, _tell(lost, len(rows), name, what, "they are left out", strict=strict)


def tidy(rows: Sequence[Row], name: str, *, strict: bool) -> tuple[list[Row], tuple[str, ...]]:
    """Sort rows by time and keep the first of each moment; with notes of how many were not so.

    Raises:
        InputError: there is such a row, and ``strict`` allows none.
    """
    late = [row for before, row in pairwise(rows) if float(row.stamp) < float(before.stamp)]
    kept: list[Row] = []
    doubles: list[Row] = []
    for row in sorted(rows, key=lambda row: float(row.stamp)):
        is_double = bool(kept) and float(row.stamp) == float(kept[-1].stamp)
        (doubles if is_double else kept).append(row)
    what, done = "are earlier than the one before", "all are sorted by their timestamps"
    moved = _tell(late, len(rows), name, what, done, strict=strict)
    what, done = "have a timestamp that was there before", "the first of each moment is kept"
    return kept, (*moved, *_tell(doubles, len(rows), name, what, done, strict=strict))


def drop_repeated(
    rows: Sequence[Row], files: Mapping[int, Path], name: str, *, strict: bool
) -> tuple[list[Row], tuple[str, ...]]:
    """Keep the first of the rows with one file, by their ``number``; with a note of how many there were.

    Raises:
        InputError: there is such a row, and ``strict`` allows none.
    """
    first: dict[Path, int] = {}
    for row in rows:
        first.setdefault(files[row.number], row.number)
    kept = [row for row in rows if first[files[row.number]] == row.number]
    doubles = [row for row in rows if first[files[row.number]] != row.number]
    what, done = "name a file that was named before", "the first of each is kept"
    return kept, _tell(doubles, len(rows), name, what, done, strict=strict)


def _tell(
    faulty: Sequence[Row], count: int, name: str, what: str, done: str, *, strict: bool
) -> tuple[str, ...]:
    if not faulty:
        return ()
    lines = ", ".join(str(row.number) for row in faulty[:MOST_LISTED])
    more = ", …" if len(faulty) > MOST_LISTED else ""
    words = f"{name}: {len(faulty)} of {count} rows {what} (line {lines}{more})"
    if strict:
        raise InputError(f"{words}; correct the file, or leave --strict out")
    return (f"{words}; {done}",)
