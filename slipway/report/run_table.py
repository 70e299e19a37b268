"""The table of runs: what gives way where a terminal is too narrow for all of it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from slipway.report.arguments import tell_apart
from slipway.text.wording import clock, cut, moment, one_line, text_width

TITLES = ("RUN", "NAME", "JOB", "SITE", "STATE", "REASON", "EXIT", "ELAPSED", "NODE", "RESULTS", "ARGUMENTS")
# Columns that are there where a run has something for them.
_OPTIONAL = ("NAME", "NODE", "RESULTS")
GAP = 2
# A column gives way only so far, before the next one does: see `_fit`.
_ARGUMENTS, _FEW_ARGUMENTS, _REASON, _SHORT_REASON, _SHORT_STATE = 24, 12, 14, 8, 8
_NAME, _NODE, _SHORT_NODE = 16, 16, 8

Columns = dict[str, list[str]]


def run_table(runs: Sequence[Mapping[str, Any]], width: int | None = None) -> Columns:
    """The columns of a table of runs, by their titles, each with a cell for every run.

    ELAPSED is against the time limit; of a waiting run it is when SLURM means to start it. ARGUMENTS gives
    way first, to what tells runs apart on 80 columns; then ids of runs become beginnings of them, which tasks
    take as well. JOB, SITE and EXIT are always whole.

    Args:
        runs: what :func:`slipway.report.values.run_values` says of each; there is at least one.
        width: how many columns the terminal has; ``None`` for no limit.
    """
    cells = (_cells(run) for run in runs)
    columns = dict(zip(TITLES, map(list, zip(*cells, strict=True)), strict=True))
    for title in _OPTIONAL:
        if not any(columns[title]):
            del columns[title]
    if width is not None:
        _fit(columns, [tuple(run["args"]) for run in runs], width)
    return columns


def widest(columns: Columns, title: str) -> int:
    """How many columns of a terminal a column of the table takes, without the gap behind it."""
    return max(map(text_width, (title, *columns[title])))


def _cells(run: Mapping[str, Any]) -> tuple[str, ...]:
    code = "" if run["exit_code"] is None else str(run["exit_code"])
    words = (run["run_id"], run["name"] or "", run["job_id"] or "", run["site"], run["state"])
    more = (run["reason"] or "", code, _elapsed(run), run["node"] or "", _results(run))
    texts = (*words, *more, shlex.join(run["args"]))
    return tuple(one_line(text, 10_000) for text in texts)


def _results(run: Mapping[str, Any]) -> str:
    """Where they are besides scratch: brought home, or kept in the home folder there."""
    places = {"home": run["home"], "kept": run["kept"], "removed": run["removed_s"]}
    return ", ".join(place for place, is_so in places.items() if is_so)


def _elapsed(run: Mapping[str, Any]) -> str:
    """How long it has run, and of how long; or from when on it is to run."""
    if run["state"] == "PENDING":
        expected = run["expected_s"]
        return f"from {moment(expected, datetime.now().astimezone())}" if expected else ""
    elapsed, limit = clock(run["elapsed_s"]), clock(run["limit_s"])
    return f"{elapsed}/{limit}" if elapsed and limit and run["ended_s"] is None else elapsed


def _fit(columns: Columns, arguments: Sequence[tuple[str, ...]], width: int) -> None:
    def excess() -> int:
        return sum(widest(columns, title) + GAP for title in columns) - GAP - width

    def narrow(title: str, least: int) -> None:
        if title not in columns or excess() <= 0 or widest(columns, title) <= least:
            return
        room = max(least, widest(columns, title) - excess())
        if title == "ARGUMENTS":
            columns[title] = tell_apart(arguments, room)
        else:
            columns[title] = [cut(cell, room) for cell in columns[title]]

    narrow("ARGUMENTS", _ARGUMENTS)
    narrow("REASON", _REASON)
    narrow("NODE", _NODE)
    for parts in (2, 3):
        if excess() > 0:
            columns["RUN"] = _short_ids(columns["RUN"], parts)
    if excess() > 0:
        columns.pop("RESULTS", None)
    narrow("ARGUMENTS", _FEW_ARGUMENTS)
    narrow("REASON", _SHORT_REASON)
    narrow("NODE", _SHORT_NODE)
    narrow("NAME", _NAME)
    if excess() > 0:  # What it has run is worth more than of how long.
        columns["ELAPSED"] = [cell.partition("/")[0] for cell in columns["ELAPSED"]]
    for title in ("NODE", "ARGUMENTS", "ELAPSED", "REASON", "NAME"):
        if excess() > 0:
            columns.pop(title, None)
    narrow("STATE", _SHORT_STATE)


def _short_ids(ids: list[str], parts: int) -> list[str]:
    """Ids without their last parts, the time and then the profile, where they stay different."""
    short = [one.rsplit("-", 2)[0] if parts == 2 else one.partition("-")[0] for one in ids]
    return short if len(set(short)) == len(set(ids)) else ids
