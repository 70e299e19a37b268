"""Results as JSON, and read again. A row that is measured anew takes the place of the one in the file."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from bench.suite.figure import Figure, Goal, Result, Taken

_VERSION = 1


def read(path: Path) -> list[Result]:
    """The results in a file; none where there is no file."""
    if not path.exists():
        return []
    return [_result(one) for one in json.loads(path.read_text(encoding="utf-8"))["rows"]]


def write(path: Path, results: Iterable[Result]) -> None:
    """Write results as a file."""
    values = {"version": _VERSION, "rows": [_values(one) for one in results]}
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f"{path.name}.part")
    part.write_text(json.dumps(values, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    part.replace(path)


def merge(old: Sequence[Result], new: Sequence[Result], order: Sequence[str]) -> list[Result]:
    """New results in the place of old ones of the same rows, in the order of the rows."""
    both = {one.name: one for one in (*old, *new)}
    return [both[name] for name in order if name in both]


def _values(result: Result) -> dict[str, Any]:
    values = asdict(result)
    for figure in values["figures"]:
        figure["taken"] = [
            {name: value for name, value in one.items() if value is not None} for one in figure["taken"]
        ]
    for goal, said in zip(values["goals"], result.goals, strict=True):
        goal["is_met"] = said.is_met
    return values


def _result(values: dict[str, Any]) -> Result:
    figures = [
        Figure(**{**one, "taken": tuple(Taken(**taken) for taken in one["taken"])})
        for one in values["figures"]
    ]
    goals = [
        Goal(**{name: value for name, value in one.items() if name != "is_met"}) for one in values["goals"]
    ]
    return Result(
        **{
            **values,
            "figures": tuple(figures),
            "goals": tuple(goals),
            "notes": tuple(values["notes"]),
        }
    )
