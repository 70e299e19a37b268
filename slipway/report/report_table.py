"""The tables of a site's report, as columns of text and as CSV. Pure."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import Any

from slipway.text.wording import cut, one_line, text_width

GAP = 2
# Columns that give way where a terminal is too narrow, in this order, and how narrow they may be.
_GIVE_WAY = {"STATES": 10, "NAME": 12, "RUN": 8}
_LONGEST = 200
_FIRST = {
    "user": (("USER", "user"), ("ACCOUNT", "account")),
    "run": (
        ("RUN", "run_id"),
        ("NAME", "name"),
        ("JOB", "job_id"),
        ("USER", "user"),
        ("PARTITION", "partition"),
    ),
    "partition": (("PARTITION", "partition"),),
}
_HOURS = (("NODE-H", "node_hours"), ("CPU-H", "cpu_hours"), ("GPU-H", "gpu_hours"))


def report_columns(report: Mapping[str, Any], table: str, most: int) -> dict[str, list[str]]:
    """The columns of one table by their titles, each with a cell for every row; numbers end at one place.

    Args:
        report: what :func:`slipway.report.site_report.site_report` says.
        table: which of its tables: ``user``, ``run`` or ``partition``.
        most: how many rows at most.
    """
    rows: Sequence[Mapping[str, Any]] = report[f"by_{table}"][:most]
    columns = {
        title: [one_line(str(row[key] or ""), _LONGEST) for row in rows] for title, key in _FIRST[table]
    }
    if table != "run":
        columns["JOBS"] = _aligned("JOBS", [str(row["jobs"]) for row in rows])
    for title, key in _HOURS:
        columns[title] = _aligned(title, [f"{row[key]:,.2f}" for row in rows])
    if table == "user" and any(row["scheduler_cpu_hours"] is not None for row in rows):
        title = "SREPORT CPU-H"
        columns[title] = _aligned(title, [f"{row['scheduler_cpu_hours']:,.2f}" for row in rows])
    if any(row["cost"] is not None for row in rows):
        title = f"COST {report['currency'] or ''}".rstrip()
        columns[title] = _aligned(
            title, ["" if row["cost"] is None else f"{row['cost']:,.2f}" for row in rows]
        )
    columns["STATES"] = [
        ", ".join(f"{count} {state}" for state, count in row["states"].items()) for row in rows
    ]
    return columns


def fit(columns: dict[str, list[str]], width: int | None) -> dict[str, int]:
    """Cut cells to what a terminal has room for; returns how many columns of it each title takes."""
    widths = {title: max(map(text_width, (title, *cells))) for title, cells in columns.items()}
    for title, least in _GIVE_WAY.items():
        over = sum(widths.values()) + GAP * (len(widths) - 1) - width if width else 0
        if title in widths and over > 0:
            widths[title] = max(min(least, widths[title]), widths[title] - over)
            columns[title] = [cut(cell, widths[title]) for cell in columns[title]]
    return widths


def report_csv(report: Mapping[str, Any], table: str) -> str:
    """One table as CSV, with a line of titles; states are ``COMPLETED:3 FAILED:1``."""
    rows: Sequence[Mapping[str, Any]] = report[f"by_{table}"]
    first = [key for _, key in _FIRST[table]]
    sums = ["jobs", *(key for _, key in _HOURS), "cost", "currency"]
    scheduler = [f"scheduler_{key}" for _, key in _HOURS] if table == "user" else []
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow([*first, *sums, *scheduler, "states"])
    for row in rows:
        states = " ".join(f"{state}:{count}" for state, count in row["states"].items())
        values = {**row, "currency": report["currency"]}
        writer.writerow([*(values[key] for key in (*first, *sums, *scheduler)), states])
    return text.getvalue()


def _aligned(title: str, cells: Sequence[str]) -> list[str]:
    width = max(map(len, (title, *cells)))
    return [cell.rjust(width) for cell in cells]
