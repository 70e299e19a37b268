"""What is exported of a sweep's elements, in words that MLflow and TensorBoard both take. Pure."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from slipway.job.elements import describe_values
from slipway.job.figure import Figure
from slipway.job.run import Reason, Run, Status
from slipway.report.metric_table import Measured
from slipway.scheduler.base import State
from slipway.sweep.record import Place

_LONGEST_NAME = 240
_LONGEST_VALUE = 4000
# What MLflow allows in a metric's name, but the colon, which it does not on Windows.
_NOT_IN_A_NAME = re.compile(r"[^\w.\- /]")
_RUNNING = (State.RUNNING, State.COMPLETING, State.SUSPENDED)


class Outcome(str, Enum):
    """How an element stands, by MLflow's words."""

    SCHEDULED = "SCHEDULED"
    RUNNING = "RUNNING"
    FINISHED = "FINISHED"
    FAILED = "FAILED"
    KILLED = "KILLED"

    @property
    def is_over(self) -> bool:
        """True where nothing more comes of it."""
        return self not in (Outcome.SCHEDULED, Outcome.RUNNING)


@dataclass(frozen=True, kw_only=True)
class Exported:
    """One element.

    Attributes:
        experiment: the name of its sweep, or the sweep's id where it has none.
        name: its values, for people.
        places: the runs that it has been, and its task in each, the last one first. It is known by these.
        values: its parameters' values, by their names.
        metrics: its figures, by names that MLflow allows; none where it has not ended well.
        tags: what else there is to know of it.
        outcome: how it stands.
        started_s: when it began, in seconds since 1970.
        ended_s: when it was over, likewise.
    """

    experiment: str
    name: str
    places: tuple[str, ...]
    values: Mapping[str, str]
    metrics: Mapping[str, float]
    tags: Mapping[str, str]
    outcome: Outcome
    started_s: int | None
    ended_s: int | None


def exported(measured: Sequence[Measured], figures: Sequence[Figure]) -> list[Exported]:
    """What is exported of elements; nothing of one that was not submitted.

    Args:
        measured: the elements. One that several sweeps of a name have is there once.
        figures: those of their figures that are wanted.
    """
    names = metric_names(figures)
    found: dict[tuple[str, str], Exported] = {}
    for one in measured:
        if one.state.element.place is not None:
            element = _exported(one, one.state.element.place, names)
            found.setdefault((element.experiment, element.places[0]), element)
    return [*found.values()]


def metric_names(figures: Iterable[Figure]) -> dict[Figure, str]:
    """A name for each figure: ``ate.rmse``, or ``rpy/ate.rmse``; no two have the same."""
    found: dict[Figure, str] = {}
    taken: set[str] = set()
    for figure in sorted(figures):
        name = _NOT_IN_A_NAME.sub("_", plain(f"{figure.file}.{figure.key}"))[:_LONGEST_NAME].strip()
        if posixpath.normpath(name) != name or name.startswith(("/", "..")):
            name = name.replace("/", "_")
        found[figure] = unique(name, taken)
    return found


def unique(name: str, taken: set[str]) -> str:
    """The name, or with a number behind it where another has it; letter case makes no other name."""
    fresh, number = name, 1
    while fresh.lower() in taken:
        number += 1
        fresh = f"{name}-{number}"
    taken.add(fresh.lower())
    return fresh


def plain(text: str) -> str:
    """Text that has a form in UTF-8."""
    return text.encode("utf-8", "replace").decode()[:_LONGEST_VALUE]


def _exported(one: Measured, place: Place, names: Mapping[Figure, str]) -> Exported:
    element, status, run = one.state.element, one.state.status, one.state.run
    numbers = one.numbers if one.state.is_ok else None
    return Exported(
        experiment=plain(one.sweep.name or one.sweep.sweep_id),
        name=plain(describe_values(element.values)),
        places=tuple(f"{each.run_id} task {each.task}" for each in (place, *reversed(element.tries))),
        values={name: plain(value) for name, value in element.values.items()},
        metrics={names[figure]: value for figure, value in (numbers or {}).items() if figure in names},
        tags=_tags(one, place, run, status),
        outcome=_outcome(status),
        started_s=status.started_s if status else None,
        ended_s=status.ended_s if status else None,
    )


def _tags(one: Measured, place: Place, run: Run | None, status: Status | None) -> dict[str, str]:
    is_over = status is not None and status.state.is_over
    tags = {
        "sweep": one.sweep.sweep_id,
        "run": place.run_id,
        "task": str(place.task),
        "site": one.sweep.site,
        "profile": one.sweep.profile,
        "state": status.state.value if status else None,
        "reason": status.reason if status and is_over else None,
        "exit_code": str(status.exit_code) if status and status.exit_code is not None else None,
        "node": status.node if status else None,
        "job": run.job_id if run else None,
        "image": run.image_id if run else None,
        "sif": run.sif_sha256 if run else None,
        "code": run.code if run else None,
        "commit": run.commit if run else None,
        "dirty": str(run.dirty).lower() if run and run.commit else None,
        "results": "not home" if one.state.is_ok and one.numbers is None else None,
    }
    return {name: plain(value) for name, value in tags.items() if value}


def _outcome(status: Status | None) -> Outcome:
    if status is None or not status.state.is_over:
        return Outcome.RUNNING if status and status.state in _RUNNING else Outcome.SCHEDULED
    if status.reason == Reason.OK:
        return Outcome.FINISHED
    return Outcome.KILLED if status.reason == Reason.CANCELLED else Outcome.FAILED
