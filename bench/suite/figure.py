"""Figures of one way of doing a piece of work, and goals that they are compared with. Pure."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What one time has cost.

    Attributes:
        seconds: on the clock.
        processor_s: seconds of a processor, of the program and the children that it waited for.
        sent_bytes: over the line to the cluster; ``None`` where there is no line.
        received_bytes: over the line, from the cluster.
        connections: that were opened to the cluster.
        read_bytes: that the program has read from files and other places here, as the kernel counts it.
        memory_bytes: the most that all its processes have had at a time, and those of its containers.
        disk_bytes: the most that its folders have grown by.
    """

    seconds: float
    processor_s: float | None = None
    sent_bytes: int | None = None
    received_bytes: int | None = None
    connections: int | None = None
    read_bytes: int | None = None
    memory_bytes: int | None = None
    disk_bytes: int | None = None


@dataclass(frozen=True, kw_only=True)
class Figure:
    """All times of one way, in the order of the turns.

    Attributes:
        case: what was different for these times, such as the delay.
        way: whose way it is.
        taken: what each time has cost.
        scale: how many times as long the whole work takes as the part that was measured.
    """

    case: str
    way: str
    taken: tuple[Taken, ...]
    scale: float = 1.0

    @property
    def seconds(self) -> list[float]:
        """Seconds of each time, of the whole work."""
        return [one.seconds * self.scale for one in self.taken]

    @property
    def median_s(self) -> float:
        """The median of the seconds."""
        return statistics.median(self.seconds)

    def median(self, name: str) -> float | None:
        """The median of another of the numbers of :class:`Taken`, of the whole work."""
        values = [value for one in self.taken if (value := getattr(one, name)) is not None]
        return statistics.median(values) * self.scale if values else None

    def most(self, name: str) -> int | None:
        """The largest of another of the numbers of :class:`Taken`."""
        return max((value for one in self.taken if (value := getattr(one, name)) is not None), default=None)


def ratio(mine: Figure, other: Figure) -> float:
    """How many times as long; each time is compared with that of its own turn, where both have as many."""
    if len(mine.taken) != len(other.taken):
        return mine.median_s / other.median_s
    return statistics.median(a / b for a, b in zip(mine.seconds, other.seconds, strict=True))


@dataclass(frozen=True, kw_only=True)
class Goal:
    """A goal, and what was measured beside it.

    Attributes:
        what: the number that counts.
        value: as it was measured; ``None`` where that was not done.
        limit: what it should be.
        at_least: whether more is better.
        unit: of both, behind the numbers.
    """

    what: str
    value: float | None
    limit: float
    at_least: bool = False
    unit: str = ""

    @property
    def is_met(self) -> bool | None:
        """Whether it is; ``None`` where nothing was measured."""
        if self.value is None:
            return None
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    @property
    def distance(self) -> float | None:
        """How many times as good it would have to be; 1 or less where it is met."""
        if self.value is None:
            return None
        good, bad = (self.value, self.limit) if self.at_least else (self.limit, self.value)
        return bad / good if good else None


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a row has found.

    Attributes:
        name: the row's, for ``--only``.
        title: the work.
        how: what was done, in a sentence or two, with the numbers that were asked for.
        figures: of all ways and cases.
        goals: of the row.
        ours: the way that the others are compared with.
        notes: what else was found.
        facts: the machine, and when it was done.
    """

    name: str
    title: str
    how: str
    figures: tuple[Figure, ...]
    goals: tuple[Goal, ...] = ()
    ours: str = "Slipway"
    notes: tuple[str, ...] = ()
    facts: Mapping[str, str] = field(default_factory=dict)


def find(figures: Sequence[Figure], case: str, way: str) -> Figure | None:
    """The figure of a way in a case."""
    return next((one for one in figures if (one.case, one.way) == (case, way)), None)


def figure_of(figures: Sequence[Figure], case: str, way: str) -> Figure:
    """The figure of a way in a case, which was measured."""
    return next(one for one in figures if (one.case, one.way) == (case, way))
