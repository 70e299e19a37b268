"""What there is to tell of runs and their results, as values: a terminal, JSON and pages show the same.

Nothing here prints, or knows how wide a screen is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from slipway.job.run import Run, Status
from slipway.report.usage import usage_values

_LONGEST_FIGURE = 100


def run_values(run: Run, *, home: bool | None = None) -> dict[str, Any]:
    """What is told of a run, by the keys of ``status --json``.

    Args:
        run: the run.
        home: whether all of its results are home; ``None`` where nobody has looked.
    """
    status = run.status
    return {
        "run_id": run.run_id,
        "name": run.name,
        "job_id": run.job_id,
        "site": run.site,
        "profile": run.profile,
        "state": status.state.value,
        # While it waits, what for.
        "reason": status.reason or status.pending_reason,
        "exit_code": status.exit_code,
        "signal": status.signal,
        "native_state": status.native_state,
        # What it was called first; scripts may read it.
        "slurm_state": status.native_state,
        "script_reason": status.script_reason,
        "note": status.note,
        # Of a run that goes on after its time limit.
        "link": status.link,
        "links": status.links,
        "submitted": run.submitted.isoformat(),
        **_times(status),
        "args": list(run.args),
        "parent": run.parent,
        "usage": None if run.usage is None else usage_values(run),
        "home": home,
        "kept": run.kept,
        "removed_s": run.removed_s,
        "tasks": [_task_values(index, status) for index, status in run.task_statuses.items()],
    }


def _task_values(index: int, status: Status) -> dict[str, Any]:
    return {
        "index": index,
        "state": status.state.value,
        "reason": status.reason or status.pending_reason,
        "exit_code": status.exit_code,
        **_times(status),
    }


def _times(status: Status) -> dict[str, Any]:
    """Where and when; moments are seconds since 1970."""
    return {
        "elapsed_s": status.elapsed_s,
        "limit_s": status.limit_s,
        "started_s": status.started_s,
        "ended_s": status.ended_s,
        "expected_s": status.expected_s,
        "node": status.node,
    }


def figure_words(content: Mapping[str, Any]) -> list[tuple[str, str]]:
    """A program's own figures of one JSON file: its numbers and short words, each with its name."""
    worded = ((name, _figure(value)) for name, value in content.items())
    return [(name, text) for name, text in worded if text is not None]


def _figure(value: object) -> str | None:
    if isinstance(value, float):
        return f"{value:.6g}"
    # Python writes no integer of thousands of digits.
    if isinstance(value, int) and abs(value) >= 10**_LONGEST_FIGURE:
        return None
    if not isinstance(value, (int, str)):
        return None
    text = str(value)
    return text if len(text) < _LONGEST_FIGURE else None
