"""Arrays: how a run of many tasks stands, by how each of them does."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from slipway.job.run import Reason, Status
from slipway.scheduler.base import State

# What the whole of it is, where one task is this: the first of them. A task of which nobody knows how it
# ended does not hide that others go on.
_WORST = (
    State.RUNNING,
    State.COMPLETING,
    State.SUSPENDED,
    State.PENDING,
    State.SUBMITTING,
    State.UNKNOWN,
    State.NODE_FAIL,
    State.OUT_OF_MEMORY,
    State.TIMEOUT,
    State.FAILED,
    State.PREEMPTED,
    State.CANCELLED,
    State.COMPLETED,
)
# Tasks of which a note has more than their number.
_NAMED = 5


def combine(tasks: Mapping[int, Status]) -> Status:
    """How an array stands: as its worst task, once all of them are over.

    Args:
        tasks: how each stands, by its index.
    """
    # The first task of each kind stands for all others of it: there may be tens of thousands.
    kinds: dict[tuple[State, str | None], Status] = {}
    for task in tasks.values():
        kinds.setdefault((task.state, task.reason), task)
    worst = min(kinds.values(), key=lambda task: (_WORST.index(task.state), task.reason == Reason.OK))
    note = _ends(tasks) if worst.state.is_over else worst.note
    return replace(
        worst,
        note=note,
        node=_nodes(tasks.values(), worst),
        elapsed_s=max(_known(task.elapsed_s for task in tasks.values()), default=None),
        started_s=min(_known(task.started_s for task in tasks.values()), default=None),
        ended_s=max(_known(task.ended_s for task in tasks.values()), default=None)
        if worst.state.is_over
        else None,
        expected_s=min(_known(task.expected_s for task in tasks.values()), default=None),
    )


def _known(values: Iterable[int | None]) -> Iterator[int]:
    return (value for value in values if value is not None)


def _nodes(tasks: Collection[Status], worst: Status) -> str | None:
    """Where tasks run, or, once all are over, where they ran."""
    there = (task.node for task in tasks if worst.state.is_over or not task.state.is_over)
    return ",".join(dict.fromkeys(filter(None, there))) or None


def _ends(tasks: Mapping[int, Status]) -> str | None:
    bad = {index: task for index, task in tasks.items() if task.reason != Reason.OK}
    words = [f"{len(tasks) - len(bad)} of {len(tasks)} tasks ok"]
    for index, task in list(bad.items())[:_NAMED]:
        code = "" if task.exit_code is None else f" {task.exit_code}"
        words.append(f"task {index}: {task.reason}{code}{f' ({task.note})' if task.note else ''}")
    if len(bad) > _NAMED:
        words.append(f"{len(bad) - _NAMED} more")
    # An ending that is fine may have something to be said of it, too.
    words += [f"task {index}: {task.note}" for index, task in tasks.items() if task.note and index not in bad]
    return "; ".join(words) if len(words) > 1 else None
