"""The table of faults: rows of several runs joined, and the page as its figures have it."""

import json
from typing import Any

from tests.fault_table import KEPT, PAGE, merge, table, totals, with_table


def row(what: str, **tests: tuple[str, int]) -> dict[str, Any]:
    by_test = {
        name: {
            "outcome": outcome,
            "made": {"SIGKILL": count} if count else {},
            "seconds": 1.0,
            "why": "no disk",
        }
        for name, (outcome, count) in tests.items()
    }
    return {"group": "kills", "what": what, "by_test": by_test, "seed": 1, "day": "2026-01-31"}


def test_a_tests_newest_result_counts() -> None:
    before = [row("push", a=("failed", 3), b=("passed", 5)), row("stage", c=("passed", 1))]
    pushed, staged = merge(before, [row("push", a=("passed", 7))])
    assert totals(pushed) == ({"SIGKILL": 12}, [], [])
    assert totals(staged) == ({"SIGKILL": 1}, [], [])


def test_what_failed_or_was_not_run_is_said() -> None:
    lines = table([row("push", a=("failed", 3)), row("job", b=("skipped", 0))]).splitlines()
    assert lines[2:] == [
        "| kills | push | 3 | SIGKILL | **failed: 1** |",
        "| kills | job | 0 |  | not run: no disk |",
        "",
        "3 kills and 0 other faults.",
    ]


def test_the_page_has_its_figures() -> None:
    page = PAGE.read_text()
    assert page == with_table(page, json.loads(KEPT.read_text()))
