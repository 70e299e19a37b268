"""The numbers and short words of JSON files, flat: what is inside a value has its name and a dot before."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite

from slipway.job.output import read_small
from slipway.page.found import File
from slipway.text.wording import one_line

Figure = str | float | bool

_MOST_FILES = 40
_MOST_VALUES = 300
_MOST_LETTERS = 200
_DEEPEST = 6


@dataclass(frozen=True, kw_only=True)
class Figures:
    """One JSON file's values in its own order, and what is not among them."""

    name: str
    values: dict[str, Figure]
    note: str | None = None

    def numbers(self) -> dict[str, float]:
        """Its finite numbers."""
        return {
            key: float(value)
            for key, value in self.values.items()
            if isinstance(value, float) and isfinite(value)
        }


def read_figures(files: Sequence[File], notes: list[str]) -> list[Figures]:
    """The JSON files among a run's files, the nearest to its output folder first."""
    found = sorted(files, key=lambda file: (file.name.count("/"), file.name))
    if len(found) > _MOST_FILES:
        notes.append(f"{len(found) - _MOST_FILES:,} more JSON files are not shown")
    figures = []
    for file in found[:_MOST_FILES]:
        try:
            content = json.loads(read_small(file.path))
            pairs = list(_flat("", content, 0))
        except (OSError, ValueError, RecursionError, MemoryError) as error:
            why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            notes.append(f"{one_line(file.name, 200)} is not shown: {one_line(why, 120) or 'no JSON'}")
            continue
        left = len(pairs) - _MOST_VALUES
        note = f"{left:,} more values are in the file" if left > 0 else None
        figures.append(Figures(name=file.name, values=dict(pairs[:_MOST_VALUES]), note=note))
    return figures


def _flat(prefix: str, value: object, depth: int) -> Iterator[tuple[str, Figure]]:
    if isinstance(value, dict) and depth < _DEEPEST:
        for key, inner in value.items():
            yield from _flat(f"{prefix}.{key}" if prefix else str(key), inner, depth + 1)
        return
    yield prefix or "value", _one(value)


def _one(value: object) -> Figure:
    if isinstance(value, bool | str):
        return one_line(value, _MOST_LETTERS) if isinstance(value, str) else value
    if isinstance(value, int | float):
        try:
            return float(value)
        except OverflowError:
            return "a number of more than 300 digits"
    if isinstance(value, list):
        flat = all(isinstance(one, int | float) for one in value) and len(value) <= 6
        return one_line(", ".join(f"{one:.6g}" for one in value), 120) if flat else f"{len(value):,} values"
    return "none" if value is None else "more values, nested"
