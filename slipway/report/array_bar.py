"""A bar for an array: how many of its tasks are done, failed, running and waiting. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_BARS = 30


@dataclass(frozen=True, kw_only=True)
class Part:
    """The tasks of an array that are alike.

    Attributes:
        word: what they are.
        mark: the letter that stands for them in the bar, which says it without colour.
        count: how many they are.
        length: how many letters of the bar they have.
    """

    word: str
    mark: str
    count: int
    length: int


# In the order of the bar: what is over, what goes on, what is to come.
_MARKS = {"done": "█", "failed": "x", "cancelled": "-", "running": "▒", "unknown": "?", "waiting": "·"}
_WORDS = {
    "CANCELLED": "cancelled",
    "RUNNING": "running",
    "COMPLETING": "running",
    "SUSPENDED": "running",
    "PENDING": "waiting",
    "SUBMITTING": "waiting",
    "UNKNOWN": "unknown",
}


def array_parts(tasks: Sequence[Mapping[str, Any]], width: int = _BARS) -> list[Part]:
    """The parts of an array's bar, each at least one letter long; none where no task was asked for yet.

    Args:
        tasks: as :func:`slipway.report.values.run_values` has them.
        width: letters of the bar at most; with fewer tasks each has one.
    """
    counts = Counter(map(_word, tasks))
    total, width = len(tasks), max(min(width, len(tasks)), len(counts))
    lengths = {word: max(1, width * count // total) for word, count in counts.items()}
    # What rounding has left over goes to the most numerous, or comes from them.
    if counts:
        lengths[counts.most_common(1)[0][0]] += width - sum(lengths.values())
    return [
        Part(word=word, mark=mark, count=counts[word], length=lengths[word])
        for word, mark in _MARKS.items()
        if word in counts
    ]


def _word(task: Mapping[str, Any]) -> str:
    return "done" if task["reason"] == "ok" else _WORDS.get(task["state"], "failed")
