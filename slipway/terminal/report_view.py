"""A site's report as a terminal shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from slipway.report.report_table import fit, report_columns
from slipway.terminal.styled import row_text, safe_text
from slipway.terminal.terminal import Terminal

# Rows of one table that are shown, those that took the most; `--csv` and `--json` have all.
_MOST_ROWS = 20


def show_report(screen: Terminal, report: Mapping[str, Any], tables: Sequence[str]) -> None:
    """The tables of :func:`slipway.report.site_report.site_report`, and what is to be said of them.

    Args:
        screen: the terminal.
        report: the report.
        tables: which of its tables: ``user``, ``run``, ``partition``.
    """
    accounts = f", accounts {', '.join(report['accounts'])}" if report["accounts"] else ""
    screen.note(f"{report['site']} from {_day(report['from'])} to {_day(report['to'])}{accounts}")
    if not report["total"]["jobs"] and not report["by_user"]:
        screen.say("There were no jobs.")
        tables = ()
    for place, table in enumerate(tables):
        if place:
            screen.show(safe_text(""))
        _show_table(screen, report, table)
    for note in report["notes"]:
        screen.note(note)


def _show_table(screen: Terminal, report: Mapping[str, Any], table: str) -> None:
    columns = report_columns(report, table, _MOST_ROWS)
    widths = [*fit(columns, screen.width).values()]
    screen.show(row_text([(title, "bold") for title in columns], widths))
    for cells in zip(*columns.values(), strict=True):
        screen.show(row_text([(cell, "") for cell in cells], widths))
    more = len(report[f"by_{table}"]) - _MOST_ROWS
    if more > 0:
        screen.note(f"{more} more that took less; --csv --by {table} has all")


def _day(text: str) -> str:
    """A time by the clock of this machine."""
    return f"{datetime.fromisoformat(text).astimezone():%Y-%m-%d %H:%M}"
