"""What is monitored: elements of a sweep, or runs; and how they stood at one moment."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from slipway.errors import UsageError
from slipway.job.elements import describe_values
from slipway.job.run import LOCAL, Run, Status
from slipway.monitor.decide import Decision
from slipway.monitor.spending import Spent
from slipway.site import Site
from slipway.steps.find import find_record, find_site, find_sweep, known_sweep
from slipway.steps.session import Session
from slipway.sweep.record import Place, Sweep

# A run, and which of its tasks; None is a run without tasks.
Where = tuple[str, int | None]


class Stands(str, Enum):
    """How an element stands, for the monitor."""

    OK = "ok"
    # It waits or runs, or another monitor is submitting it.
    ON_ITS_WAY = "on its way"
    # It failed, and is to be submitted again.
    FAILED = "failed"
    STOPPED = "stopped"


@dataclass(frozen=True, kw_only=True)
class Watched:
    """One element that is watched.

    Attributes:
        label: how a person knows it.
        number: which of its sweep; ``None`` without one.
        tries: where it was and, last, where it is.
    """

    label: str
    number: int | None
    tries: tuple[Where, ...]

    @property
    def place(self) -> Where:
        """Where it is."""
        return self.tries[-1]


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How one element stood.

    Attributes:
        watched: the element.
        stands: for the monitor.
        status: of its last try; ``None`` where nobody knows that.
        decision: what is done about it, where it failed.
        log_end: the last that it printed, where it failed.
    """

    watched: Watched
    stands: Stands
    status: Status | None
    decision: Decision | None = None
    log_end: str = ""


@dataclass(frozen=True, kw_only=True)
class Look:
    """How all stood at one moment.

    Attributes:
        seen: the elements, in order.
        spent: what their tries have cost by now.
        reached: which budget is spent, in words.
    """

    seen: Sequence[Seen]
    spent: Spent
    reached: str | None

    @property
    def counts(self) -> Mapping[str, int]:
        """How many stand how."""
        return Counter(_word(one) for one in self.seen)

    @property
    def is_over(self) -> bool:
        """True where nothing is left to be done or to be waited for."""
        return all(one.stands in (Stands.OK, Stands.STOPPED) for one in self.seen)


def _word(seen: Seen) -> str:
    if seen.stands is Stands.ON_ITS_WAY and seen.status is not None and not seen.status.state.is_over:
        return seen.status.state.value.lower()
    return seen.stands.value


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is monitored at one site.

    Attributes:
        site: the site.
        elements: those that were submitted.
        sweep: what they are of; ``None`` for runs.
        not_submitted: how many of it were not.
    """

    site: Site
    elements: tuple[Watched, ...]
    sweep: Sweep | None = None
    not_submitted: int = 0


def find_targets(session: Session, sweep: str | None, runs: Sequence[str]) -> list[Target]:
    """What is to be monitored: a sweep, runs, or both; without either, the newest sweep.

    Raises:
        UsageError: there is no such sweep or run, or it is none that can be submitted again.
    """
    found = [_of_sweep(session, find_sweep(session, sweep))] if sweep is not None or not runs else []
    targets: dict[tuple[str, str | None], Target] = {}
    for run in {one.run_id: one for one in (find_record(session, word) for word in runs)}.values():
        site = _site_to_repeat(session, run)
        of_sweep = known_sweep(session, run)
        key = (site.name, of_sweep.sweep_id if of_sweep else None)
        old = targets.get(key)
        elements = dict.fromkeys([*(old.elements if old else ()), *_of_run(run, of_sweep)])
        targets[key] = Target(site=site, elements=tuple(elements), sweep=of_sweep)
    return [*found, *targets.values()]


def _site_to_repeat(session: Session, run: Run) -> Site:
    """The site of a run that may be submitted again.

    Raises:
        UsageError: it is none of a cluster's, or was there for a shell; or its site's file is gone.
    """
    if run.site == LOCAL:
        raise UsageError(
            f"{run.shown} is a run on this machine; `invoke job --profile {run.profile} --local -- …` "
            "runs it again"
        )
    if run.shell is not None:
        raise UsageError(
            f"{run.shown} is there for a shell, which nobody can type again; "
            f"`invoke shell --profile {run.profile}` opens another one"
        )
    return find_site(session, run)


def _of_sweep(session: Session, sweep: Sweep) -> Target:
    elements = _of_elements(sweep)
    left = len(sweep.elements) - len(elements)
    return Target(site=session.site(sweep.site), elements=elements, sweep=sweep, not_submitted=left)


def _of_elements(sweep: Sweep) -> tuple[Watched, ...]:
    return tuple(
        Watched(
            label=f"element {describe_values(one.values)}", number=number, tries=_places(one.tries, one.place)
        )
        for number, one in enumerate(sweep.elements)
        if one.place is not None
    )


def _places(earlier: Sequence[Place], last: Place) -> tuple[Where, ...]:
    return tuple((place.run_id, place.task) for place in (*earlier, last))


def _of_run(run: Run, sweep: Sweep | None) -> list[Watched]:
    """The tasks of a run; those of a sweep are its elements, wherever these are by now."""
    found: dict[Where, Watched] = {}
    for one in _of_elements(sweep) if sweep is not None else ():
        found |= dict.fromkeys(one.tries, one)
    return [
        found.get((run.run_id, task))
        or Watched(label=_label(run, task), number=None, tries=((run.run_id, task),))
        for task in run.tasks
    ]


def _label(run: Run, task: int | None) -> str:
    if task is None:
        return f"run {run.shown}"
    values = run.elements.get(task)
    return f"element {describe_values(values)}" if values else f"run {run.shown} task {task}"
