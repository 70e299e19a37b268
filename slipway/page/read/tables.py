"""CSV tables of numbers, as programs write them while they run."""

from __future__ import annotations

import csv
from array import array
from collections.abc import Collection
from dataclasses import dataclass
from io import TextIOWrapper
from math import isnan, nan
from pathlib import Path

from slipway.page.found import open_regular

_MOST_BYTES = 16 << 20
_MOST_HEAD = 64 << 10
_MOST_ROWS = 500_000
_MOST_COLUMNS = 40


@dataclass(frozen=True, kw_only=True)
class Table:
    """Columns of numbers by their names; what is no number is NaN. ``note`` says what was left out."""

    columns: dict[str, array[float]]
    note: str | None = None

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


def read_table(path: Path, first: Collection[str] = ()) -> Table:
    """Read a CSV file whose first line names its columns.

    Args:
        path: the file.
        first: what the first column may be called, in lower case; anything where there is nothing in it.

    Raises:
        OSError: it cannot be read.
        ValueError: it is no such table.
    """
    with TextIOWrapper(open_regular(path), encoding="utf-8", errors="replace", newline="") as file:
        head = file.readline(_MOST_HEAD)
        if first and head.partition(",")[0].strip().lower() not in first:
            raise ValueError("its first column is none of these")
        content = head + file.read(_MOST_BYTES)
        cut = bool(file.read(1))
    try:
        rows = csv.reader(content.splitlines())
        names = [name.strip()[:100] for name in next(rows, [])][:_MOST_COLUMNS]
        if not names or not all(names) or len(set(names)) < len(names) or any(map(_is_number, names)):
            raise ValueError("its first line does not name its columns")
        columns = [array("d") for _ in names]
        for row in rows:
            if len(columns[0]) >= _MOST_ROWS:
                cut = True
                break
            if len(row) < len(names):
                continue
            for column, word in zip(columns, row, strict=False):
                column.append(_number(word))
    except csv.Error as error:
        raise ValueError(f"it is no table: {error}") from error
    note = f"only its first {len(columns[0]):,} rows" if cut else None
    return Table(columns=dict(zip(names, columns, strict=True)), note=note)


def _number(word: str) -> float:
    try:
        return float(word)
    except ValueError:
        return nan


def _is_number(word: str) -> bool:
    return not isnan(_number(word))
