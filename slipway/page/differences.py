"""What runs were made of, where they differ from the first of them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from slipway.job.run import Run
from slipway.report.run_diff import Side, run_diff
from slipway.text.wording import one_line

# A page has a table of figures of its own, the ending at its top, and no room for code.
_ELSEWHERE = frozenset({"figures", "ending", "files"})


def differences(runs: Sequence[Run]) -> list[list[str]]:
    """Rows of a name and a value for each run, for all that is not the same in all of them."""
    first = Side(run=runs[0])
    found: dict[tuple[str, str], list[Any]] = {}
    for place, run in enumerate(runs[1:], 1):
        for row in run_diff(first, Side(run=run))["differences"]:
            # Where another run does not differ, it has the value of the first.
            values = found.setdefault((row["part"], row["key"]), [row["a"]] * len(runs))
            values[place] = row["b"]
    return [
        [key if part == "arguments" else f"{part}: {key}", *(_words(value) for value in values)]
        for (part, key), values in found.items()
        if part not in _ELSEWHERE
    ]


def _words(value: Any) -> str:
    if value is None:
        return "—"
    # An option without a value.
    return one_line(str(value), 300) or "given"
