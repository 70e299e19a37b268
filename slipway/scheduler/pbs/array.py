"""Arrays: which indices PBS is told for a run's tasks, and which task is behind an index. Pure.

PBS Professional takes one range with two indices at least. What is no such range (``1,3,7``, or a task alone)
is submitted by other numbers: its first task is 0 then, or the job is no array, and the job script knows the
tasks.
"""

from __future__ import annotations

from collections.abc import Sequence

from slipway.quantity import parse_array
from slipway.scheduler.pbs.site import Dialect


def range_of(tasks: Sequence[int]) -> str | None:
    """The one range that has just these tasks, as ``-J`` takes it; ``None`` where there is none."""
    if len(tasks) < 2:
        return None
    step = tasks[1] - tasks[0]
    if list(range(tasks[0], tasks[-1] + 1, step)) != list(tasks):
        return None
    return f"{tasks[0]}-{tasks[-1]}{f':{step}' if step > 1 else ''}"


def array_value(spec: str, dialect: Dialect) -> str | None:
    """The value of ``-J`` or ``-t``; ``None`` where the job of a single task is no array.

    Args:
        spec: as ``--array`` has it: ``0-9``, ``1,3,5``, ``0-99%4``.
        dialect: which PBS.
    """
    tasks, throttle = parse_array(spec), spec.partition("%")[2]
    some = f"%{throttle}" if throttle else ""
    if dialect == "torque":
        # It has lists, and no steps.
        return f"{_list(tasks)}{some}"
    if len(tasks) == 1:
        return None
    return f"{range_of(tasks) or f'0-{len(tasks) - 1}'}{some}"


def told_tasks(spec: str, dialect: Dialect) -> str | None:
    """The tasks as the job script is told them where PBS counts otherwise: ``1+3+5-9``."""
    tasks = parse_array(spec)
    if dialect == "torque" or range_of(tasks):
        return None
    return _list(tasks).replace(",", "+")


def task_of(index: int, tasks: Sequence[int]) -> int | None:
    """The task behind an index of PBS Professional, of those that a run has; ``None`` where it has none."""
    if range_of(tasks):
        return index if index in tasks else None
    return tasks[index] if index < len(tasks) else None


def _list(tasks: Sequence[int]) -> str:
    """Tasks as numbers and ranges without steps."""
    parts: list[list[int]] = []
    for task in tasks:
        if parts and task == parts[-1][-1] + 1:
            parts[-1][1:] = [task]
        else:
            parts.append([task])
    return ",".join("-".join(map(str, part)) for part in parts)
