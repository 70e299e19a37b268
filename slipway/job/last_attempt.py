"""Which attempt of a run that is home is the one to look at, and how those before it ended."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from slipway.job.attempts import Attempt, read_attempts_here
from slipway.job.run import Reason

_WORDS = {
    Reason.PREEMPTED: "was preempted or requeued",
    Reason.TIME_LIMIT: "ended at the time limit",
    Reason.NODE_FAILURE: "lost its node",
}
# Tasks that are told.
_MOST = 5


def describe_last(home: Path, newest: Mapping[int | None, int]) -> Sequence[str]:
    """Where there were several attempts, how each ended, and that the last is taken; a line for each task.

    Args:
        home: the run's folder here.
        newest: the number of the last attempt, by task; of a run that is no array by ``None``.
    """
    several = {task: last for task, last in newest.items() if last > 1}
    here = read_attempts_here(home) if several else []
    lines = [
        _describe(task, last, [one for one in here if one.task == task and one.number < last])
        for task, last in list(several.items())[:_MOST]
    ]
    more = len(several) - _MOST
    return [*lines, *([f"{more:,} more tasks have several attempts"] if more > 0 else [])]


def _describe(task: int | None, last: int, before: Sequence[Attempt]) -> str:
    ends = "".join(f"; attempt {one.number} {_ending(one)}" for one in before)
    return f"{'' if task is None else f'task {task}: '}out is attempt {last}, the last{ends}"


def _ending(attempt: Attempt) -> str:
    result = attempt.result
    if result is None:
        return "left no result (it was killed, or its node was lost)"
    return _WORDS.get(result.reason, f"ended with {result.reason.value}, exit code {result.exit_code}")
