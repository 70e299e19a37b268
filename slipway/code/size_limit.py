"""How much a folder holds, and where most of it is."""

from __future__ import annotations

import os
import posixpath
import stat
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

# Beside so many bytes for each, the number of files is what a transfer and a cluster's file system feel.
BYTES_PER_FILE = 10_000
_UNITS = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_MOST_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Bulk:
    """So many files with so many bytes."""

    files: int = 0
    size_bytes: int = 0

    def __add__(self, other: Bulk) -> Bulk:
        """Both together."""
        return Bulk(files=self.files + other.files, size_bytes=self.size_bytes + other.size_bytes)

    def __str__(self) -> str:
        """For people, such as ``1.3 GB in 31,222 files``."""
        return f"{describe_size(self.size_bytes)} in {self.files:,} file{'' if self.files == 1 else 's'}"

    def is_within(self, limit: Bulk) -> bool:
        """Whether neither number is beyond the limit's."""
        return self.files <= limit.files and self.size_bytes <= limit.size_bytes

    def share(self, limit: Bulk) -> float:
        """How much of a limit this takes up, by what it takes up more of."""
        return max(self.files / max(limit.files, 1), self.size_bytes / max(limit.size_bytes, 1))


def parse_limit(text: str) -> Bulk:
    """A limit such as ``200M``: so many bytes (M: a million), and a file for each ``BYTES_PER_FILE``."""
    number = text.rstrip("KMGTkmgt")
    size_bytes = int(number) * _UNITS[text[len(number) :].upper()]
    return Bulk(files=size_bytes // BYTES_PER_FILE, size_bytes=size_bytes)


def describe_size(size_bytes: int) -> str:
    """A size for people, such as ``1.3 GB``."""
    unit = next((unit for unit in ("T", "G", "M", "K") if size_bytes >= _UNITS[unit]), "")
    return (
        f"{size_bytes / _UNITS[unit]:.1f} {unit.lower() if unit == 'K' else unit}B"
        if unit
        else f"{size_bytes} B"
    )


def weigh(statuses: Mapping[str, os.stat_result]) -> dict[str, Bulk]:
    """What each of some names holds, by what ``lstat`` says; links and folders have no bytes of their own."""
    return {name: Bulk(files=1, size_bytes=size_of(status)) for name, status in statuses.items()}


def size_of(status: os.stat_result) -> int:
    """The bytes of a file; none of anything else."""
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def describe_heaviest(bulks: Mapping[str, Bulk], limit: Bulk) -> list[str]:
    """The few files and folders that take up most of a limit, the worst first, a line for each.

    Of each folder at the top the line is for the place in it that has most of what it has.
    """
    totals, inside = _add_up(bulks)

    def share(name: str) -> float:
        return totals[name].share(limit)

    def settle(name: str) -> str:
        heaviest = max(inside.get(name, ()), key=share, default=None)
        return settle(heaviest) if heaviest is not None and share(heaviest) > 0.75 * share(name) else name

    top = sorted(inside[""], key=lambda name: (-share(name), name))[:_MOST_SHOWN]
    return [_describe(settle(name), totals, inside) for name in top]


def _describe(name: str, totals: Mapping[str, Bulk], inside: Mapping[str, set[str]]) -> str:
    shown = name if name.isprintable() else ascii(name)
    return (
        f"{shown}/: {totals[name]}"
        if name in inside
        else f"{shown}: {describe_size(totals[name].size_bytes)}"
    )


def _add_up(bulks: Mapping[str, Bulk]) -> tuple[dict[str, Bulk], dict[str, set[str]]]:
    """The bulk of each file and folder, and what is directly in each folder; the top's name is empty."""
    totals: dict[str, Bulk] = defaultdict(Bulk)
    inside: dict[str, set[str]] = defaultdict(set)
    for name, bulk in bulks.items():
        totals[name] += bulk
        while name:
            parent = posixpath.dirname(name)
            inside[parent].add(name)
            totals[parent] += bulk
            name = parent
    return dict(totals), dict(inside)
