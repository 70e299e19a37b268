"""Which ways between hosts work, as a terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.access.machine import Way
from slipway.terminal.terminal import Terminal

_WORKS, _BROKEN = "yes", "NO"


def show_ways(screen: Terminal, ways: Sequence[Way]) -> None:
    """Show a table: from each host, in a line, to each. What does not work is explained below it."""
    starts = [*dict.fromkeys(way.start for way in ways)]
    ends = [*dict.fromkeys(way.end for way in ways)]
    found = {(way.start, way.end): way for way in ways}
    widths = [max(map(len, [*starts, "from"])), *(max(len(end), len(_WORKS)) for end in ends)]
    screen.row([(word, "bold") for word in ("from", *ends)], widths)
    for start in starts:
        cells = [_cell(found.get((start, end))) for end in ends]
        screen.row([(start, ""), *cells], widths)
    for way in ways:
        if way.problem is not None:
            screen.note(f"{way.start} → {way.end}: {way.problem}")


def _cell(way: Way | None) -> tuple[str, str]:
    if way is None:
        return "", ""
    return (_WORKS, "green") if way.problem is None else (_BROKEN, "bold red")
