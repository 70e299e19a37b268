"""What differs between two runs, as a terminal shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from slipway.report.run_table import GAP
from slipway.terminal.terminal import Terminal
from slipway.text.wording import one_line, text_width

_LONGEST = 2_000
# Of one part; `--json` has all.
_MOST_ROWS = 40
_ABSENT = "-"


def show_diff(screen: Terminal, found: Mapping[str, Any]) -> None:
    """What :func:`slipway.report.run_diff.run_diff` has found; where that is nothing, it says so."""
    for side in ("a", "b"):
        run = found[side]
        words = [run["run_id"], run["name"] or "", run["site"], run["state"]]
        screen.say(f"{side.upper()}  {'  '.join(word for word in words if word)}")
    for part, rows in groupby(found["differences"], key=lambda row: str(row["part"])):
        _show_part(screen, part, [*rows])
        if part == "code" and found["commits"]:
            for line in found["commits"].split("\n"):
                screen.say(f"  {one_line(line, _LONGEST)}", style="dim")
    if found["equal"]:
        screen.say("They are equal in all that was compared")
    if found["not_compared"]:
        screen.note("Not compared:\n" + "\n".join(f"  {line}" for line in found["not_compared"]))


def _show_part(screen: Terminal, part: str, rows: Sequence[Mapping[str, Any]]) -> None:
    screen.say(part, style="bold")
    cells = [_cells(part, row) for row in rows[:_MOST_ROWS]]
    widths = [max(text_width(row[column]) for row in cells) for column in range(len(cells[0]))]
    if screen.width is not None and sum(widths) + GAP * len(widths) > screen.width:
        for key, *values in cells:
            screen.say(key)
            for side, value in zip(("A", "B", " "), filter(None, values), strict=False):
                screen.say(f"    {side} {value}")
    else:
        for row in cells:
            screen.row([(cell, "") for cell in row], widths)
    if len(rows) > _MOST_ROWS:
        screen.say(f"  and {len(rows) - _MOST_ROWS} more; --json has them all", style="dim")


def _cells(part: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    key = f"  {one_line(str(row['key']), 400)}"
    if part == "files":
        return (key, _change(row))
    difference = row.get("difference")
    last = "" if difference is None else f"{difference:+.6g}"
    return (key, _shown(part, row["a"]), _shown(part, row["b"]), last)


def _change(row: Mapping[str, Any]) -> str:
    if row["a"] is None or row["b"] is None:
        return "only in B" if row["a"] is None else "only in A"
    return "differs"


def _shown(part: str, value: Any) -> str:
    if value is None:
        return _ABSENT
    if value == "":  # An option without a value.
        return "given" if part == "arguments" else '""'
    return f"{value:.6g}" if isinstance(value, float) else one_line(str(value), _LONGEST)
