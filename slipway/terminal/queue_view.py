"""A site's partitions as a terminal shows them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.report.queue_table import Cell, limit_cells, queue_cells, queue_notes, table_rows
from slipway.terminal.styled import row_text, safe_text
from slipway.terminal.terminal import Terminal

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def show_queues(screen: Terminal, values: Mapping[str, Any]) -> None:
    """What :func:`slipway.report.queue_table.queue_values` says."""
    screen.note(
        f"{values['site']}: idle of all nodes, CPUs and GPUs; jobs that wait; what a job may have, and what "
        "its largest node has; * is the default, ! is not for you"
    )
    refused = {row["name"] for row in values["queues"] if not row["usable"]}
    _show_table(screen, queue_cells(values), [row["name"] in refused for row in values["queues"]])
    for line in queue_notes(values):
        screen.note(line)
    if values["limits"]:
        screen.show(safe_text(""))
        _show_table(screen, limit_cells(values), [False] * len(values["limits"]))
    for account, qos in values["accounts"].items():
        screen.note(f"your account {account}" + (f" with qos {', '.join(qos)}" if qos else ""))
    for note in values["notes"]:
        screen.note(note)


def _show_table(screen: Terminal, columns: Mapping[str, Sequence[Cell]], dim: Sequence[bool]) -> None:
    widths, (titles, *lines) = table_rows(columns, screen.width)
    screen.show(row_text([(title, "bold") for title in titles], widths))
    row = -1
    for line in lines:
        # The first column has one word: only in a row's first line.
        row += bool(line[0])
        screen.show(row_text([(cell, "dim" if dim[row] else "") for cell in line], widths))


def show_change(screen: Terminal, name: str, old: str, new: str) -> None:
    """What would be changed in a file."""
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), name, name, lineterm="", n=2)
    for line in lines:
        screen.say(line, style=_COLOURS.get(line[:1], ""), whole=True)
