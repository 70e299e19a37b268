"""Faults that are made on purpose, counted: `invoke test.faults` makes the table of docs/reliability.md.

A test of them has the mark ``fault(group, what)``, which is its row. What it makes it counts by the fixture
``made``; without that it is one fault.
"""

import json
import os
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.campaign import LONG, SEED

Made = Callable[[str], None]
_HOW, _ROW = "fault", "fault row"


def counting(record: Callable[[str, object], None]) -> Made:
    """Counts faults, by how they are made."""
    return lambda how: record(_HOW, how)


def name_rows(items: list[pytest.Item]) -> None:
    """Have each report of a test know the row that the test belongs to."""
    for item in items:
        if mark := item.get_closest_marker("fault"):
            item.user_properties.append((_ROW, list(mark.args)))


def write_rows(reports: list[pytest.TestReport]) -> None:
    """Write what was made, and what came of it, to the file that ``SLIPWAY_TEST_FAULTS`` names."""
    file = os.environ.get("SLIPWAY_TEST_FAULTS")
    if not file:
        return
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for report in reports:
        properties = list(report.user_properties)
        row = next((tuple(value) for name, value in properties if name == _ROW), None)
        if row is None or (report.when != "call" and report.outcome == "passed"):
            continue
        made = Counter(str(how) for name, how in properties if name == _HOW)
        if report.outcome == "passed" and not made:
            made["once"] += 1
        why = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        rows.setdefault(row, {})[report.nodeid] = {
            "outcome": report.outcome,
            "made": dict(made),
            "seconds": round(report.duration, 1),
            "why": why.removeprefix("Skipped: "),
        }
    values = [{"group": group, "what": what, "by_test": tests} for (group, what), tests in rows.items()]
    Path(file).write_text(json.dumps({"seed": SEED, "long": LONG, "rows": values}, indent=1) + "\n")
