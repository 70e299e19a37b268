"""What a row of the suite is, and ways of doing a piece of work that take turns."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench.suite.figure import Figure, Result, Taken

if TYPE_CHECKING:
    from bench.suite.place import Place


@dataclass(frozen=True, kw_only=True)
class Row:
    """One piece of work.

    Attributes:
        name: for ``--only``.
        title: the work.
        measure: does it.
        delays_ms: the round trips, where none are asked for.
        is_long: whether ``--short`` leaves it out.
    """

    name: str
    title: str
    measure: Callable[[Place], Result]
    delays_ms: tuple[int, ...] = ()
    is_long: bool = False


def nothing() -> None:
    """Do nothing."""


@dataclass(frozen=True, kw_only=True)
class Way:
    """One way of doing the work.

    Attributes:
        name: whose way it is.
        act: does the work, and is measured; it may return what it knows itself of its cost.
        before: what has to be done before each time.
        check: raises an error where the work was not done, and is called after each time.
        times: how often it is measured at most.
        scale: how many times as long the whole work takes.
    """

    name: str
    act: Callable[[], Taken | None]
    before: Callable[[], None] = nothing
    check: Callable[[], None] = nothing
    times: int | None = None
    scale: float = 1.0


class WrongError(Exception):
    """A way has not done its work."""


def take_turns(
    place: Place,
    ways: Sequence[Way],
    *,
    case: str = "",
    times: int | None = None,
    each_turn: Callable[[], None] = nothing,
    warm: bool = False,
    over_line: bool = True,
) -> list[Figure]:
    """Measure all ways in turn, so that what else the machine does is in all of them.

    Another way begins each turn. With ``warm``, a turn before the first one does not count. Bytes are counted
    where the work goes ``over_line``.
    """
    times = times or place.options.times
    taken: dict[str, list[Taken]] = {way.name: [] for way in ways}
    for turn in range(-1 if warm else 0, times):
        each_turn()
        first = max(turn, 0) % len(ways)
        for way in (*ways[first:], *ways[:first]):
            if turn >= (way.times or times):
                continue
            cost = _once(place, way, over_line=over_line)
            if turn >= 0:
                taken[way.name].append(cost)
            _tell(case, way.name, turn, cost)
    return [
        Figure(case=case, way=way.name, taken=tuple(taken[way.name]), scale=way.scale)
        for way in ways
        if taken[way.name]
    ]


def _once(place: Place, way: Way, *, over_line: bool) -> Taken:
    way.before()
    before, began = place.counts() if over_line else None, time.perf_counter()
    own = way.act()
    took_s, after = time.perf_counter() - began, place.counts()
    way.check()
    cost = own or Taken(seconds=took_s)
    if before is None or after is None:
        return cost
    return replace(
        cost,
        sent_bytes=after.sent_bytes - before.sent_bytes,
        received_bytes=after.received_bytes - before.received_bytes,
        connections=after.connections - before.connections,
    )


def _tell(case: str, way: str, turn: int, cost: Taken) -> None:
    number = f"{turn + 1}" if turn >= 0 else "warm"
    more = "" if cost.sent_bytes is None else f", {cost.sent_bytes / 1e6:.2f} MB sent"
    print(f"  {case or '-'} | {way} | {number}: {cost.seconds:.2f} s{more}", file=sys.stderr, flush=True)
