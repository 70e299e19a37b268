"""Bundles: tasks of a run that share a job of its array, one after the other and side by side. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import ceil
from typing import TypeVar

from slipway.quantity import mebibytes
from slipway.resources import Resources

_Kind = TypeVar("_Kind", bound=Resources)
# Tasks that run one after the other; lanes run side by side.
Lane = tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Bundles:
    """Which tasks of a run share a job.

    Attributes:
        jobs: the lanes of each job of the array, which is counted from 0; every task is in one of them.
        minutes: how long each task may take; empty where that is not known.
    """

    jobs: tuple[tuple[Lane, ...], ...]
    minutes: Mapping[int, int] = field(default_factory=dict)

    @property
    def width(self) -> int:
        """How many tasks run side by side, at most."""
        return max(len(lanes) for lanes in self.jobs)

    @property
    def tasks(self) -> list[int]:
        """All tasks, in order."""
        return sorted(task for lanes in self.jobs for lane in lanes for task in lane)

    @property
    def job_minutes(self) -> int | None:
        """How long the longest job may take; ``None`` where that is not known."""
        return max(sum(self.minutes[task] for task in lane) for lane in self._lanes) if self.minutes else None

    @property
    def shortest_minutes(self) -> int | None:
        """The shortest time of a task that is the last of its lane; ``None`` where that is not known."""
        return min(self.minutes[lane[-1]] for lane in self._lanes) if self.minutes else None

    @property
    def _lanes(self) -> list[Lane]:
        return [lane for lanes in self.jobs for lane in lanes]

    def ask(self, each: _Kind) -> _Kind:
        """What a job asks for.

        Args:
            each: what each task asks for.
        """
        return each.model_copy(
            update={
                "array": _array(len(self.jobs), each.array, self.width),
                "time": str(self.job_minutes) if self.minutes else each.time,
                **_all_lanes(each, self.width),
            }
        )

    def file(self) -> bytes:
        """What the job script reads: a line for each job, with ``TASK:SECONDS,TASK:SECONDS`` for each lane.

        The seconds are 0 where they are not known.
        """
        lines = (" ".join(map(self._words, lanes)) + "\n" for lanes in self.jobs)
        return "".join(lines).encode()

    def _words(self, lane: Lane) -> str:
        return ",".join(f"{task}:{self.minutes.get(task, 0) * 60}" for task in lane)


def _array(count: int, of_tasks: str | None, width: int) -> str:
    """The ``--array`` of so many jobs; a throttle is of tasks, of which so many run side by side."""
    throttle = (of_tasks or "").partition("%")[2]
    return f"0-{count - 1}" + (f"%{max(1, int(throttle) // width)}" if throttle else "")


def _all_lanes(each: Resources, width: int) -> dict[str, object]:
    """Processors, memory and GPUs of so many tasks that run side by side."""
    if width == 1:
        return {}
    wanted: dict[str, object] = {}
    if each.cpus is not None or not (each.exclusive or each.gpu_count):
        wanted["cpus"] = width * (each.cpus or 1)
    if each.mem is not None and mebibytes(each.mem):
        wanted["mem"] = f"{ceil(width * mebibytes(each.mem))}M"
    if each.gpu_count:
        count = width * each.gpu_count
        wanted["gpus"] = f"{each.gpu_type}:{count}" if each.gpu_type else str(count)
    return wanted
