"""What the timestamps of a file count: seconds, or thousandths, millionths or billionths of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from statistics import median, median_low


@dataclass(frozen=True, kw_only=True)
class Clock:
    """``name`` is the unit's; ``digits`` says by which power of ten its stamps are too large for seconds."""

    name: str
    digits: int


SECONDS = Clock(name="seconds", digits=0)
MILLISECONDS = Clock(name="milliseconds", digits=3)
MICROSECONDS = Clock(name="microseconds", digits=6)
NANOSECONDS = Clock(name="nanoseconds", digits=9)
CLOCKS = (SECONDS, MILLISECONDS, MICROSECONDS, NANOSECONDS)
# Stamps since 1970 of so many, as seconds, would lie beyond the year 5138.
_SINCE_1970 = (
    (Decimal("1e17"), NANOSECONDS),
    (Decimal("1e14"), MICROSECONDS),
    (Decimal("1e11"), MILLISECONDS),
)
# Stamps since a start: nobody's poses are a quarter of an hour apart, nor a thousandth of a second.
_STEPS = ((Decimal("1e6"), NANOSECONDS), (Decimal("1e3"), MICROSECONDS))


def find_clock(stamps: Sequence[Decimal]) -> Clock:
    """The unit of timestamps, by their size where they count from 1970, else by the steps between them.

    Milliseconds from a start look like seconds; they are told when another file is beside them.
    """
    ordered = sorted(stamps)
    middle = median(ordered)
    for least, clock in _SINCE_1970:
        if middle >= least:
            return clock
    steps = [later - sooner for sooner, later in pairwise(ordered) if later > sooner]
    step = median_low(steps) if steps else Decimal(0)
    return next((clock for least, clock in _STEPS if step > least), SECONDS)


def to_seconds(stamp: str, clock: Clock) -> str:
    """A timestamp in seconds with all its digits; seconds stay letter by letter as they are."""
    return f"{Decimal(stamp).scaleb(-clock.digits):f}" if clock.digits else stamp
