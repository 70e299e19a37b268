"""What the elements of a sweep have left that is home."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.dataset.catalog import Dataset, find_dataset
from slipway.errors import SlipwayError
from slipway.job.attempts import Attempt, read_attempts_here
from slipway.job.figure import Figure, read_numbers
from slipway.job.home import read_home
from slipway.job.input import named_datasets
from slipway.job.run import Reason, Run
from slipway.job.selection import Selection
from slipway.job.wanted import LAST, Wanted
from slipway.steps.datasets import known_datasets
from slipway.steps.pull import Order, pull_several
from slipway.steps.select import select_runs
from slipway.steps.session import Session
from slipway.steps.status import list_runs
from slipway.sweep.placeholder import fill
from slipway.sweep.record import Sweep


@dataclass(frozen=True, kw_only=True)
class SweepNumbers:
    """A sweep, and what is known of it here.

    Attributes:
        sweep: the sweep.
        runs: its runs by their ids, as they were when they were last asked.
        numbers: of each element; ``None`` where its results are not home.
    """

    sweep: Sweep
    runs: Mapping[str, Run]
    numbers: Sequence[Mapping[Figure, float] | None]


def read_sweep(session: Session, sweep: Sweep, files: Sequence[str] = ()) -> SweepNumbers:
    """The numbers of a sweep's elements, from results that are home; nobody is asked.

    Args:
        session: the checkout's.
        sweep: the sweep.
        files: JSON files in folders below an output folder, without their endings.
    """
    ids = sweep.run_ids
    found = session.store.select(Selection(prefixes=tuple(ids))) if ids else []
    runs = {run.run_id: run for run in found}
    homes = {one: _Home.of(session.project.results, runs[one]) for one in ids if one in runs}
    numbers = [
        homes[place.run_id].numbers(place.task, files) if place and place.run_id in homes else None
        for place in (element.place for element in sweep.elements)
    ]
    return SweepNumbers(sweep=sweep, runs=runs, numbers=numbers)


@dataclass(frozen=True, kw_only=True)
class _Home:
    """What of a run is home: its folder, the last attempt of each task, and when the last of it came."""

    run: Run
    folder: Path
    last: Mapping[int | None, Attempt]
    brought_s: float

    @classmethod
    def of(cls, results: Path, run: Run) -> _Home:
        folder = results / run.run_id
        here = [] if folder.is_symlink() else sorted(read_attempts_here(folder), key=lambda one: one.number)
        mark = read_home(results, run)
        return cls(
            run=run,
            folder=folder,
            last={one.task: one for one in here},
            brought_s=mark.brought.timestamp() if mark else 0,
        )

    def numbers(self, task: int, files: Sequence[str]) -> Mapping[Figure, float] | None:
        """Those of a task that has ended well; ``None`` where its results did not come after that."""
        last, status = self.last.get(task), self.run.task_statuses.get(task) or self.run.status
        if last is None or status.reason != Reason.OK:
            return None
        found = read_numbers(self.folder / f"task-{task}" / f"attempt-{last.number}" / "out", files)
        if last.result is not None:
            return found if last.result.reason is Reason.OK else None
        # Where only some files were wanted, how the attempt ended is not among them.
        return found if found and self.brought_s >= (status.ended_s or 0) else None


def find_datasets(session: Session, sweeps: Sequence[Sweep], name: str | None = None) -> list[Dataset]:
    """The known datasets that sweeps name in their arguments, or the one that is named.

    Raises:
        UsageError: none is known by that name.
        ConfigError: a file of known datasets is not what it should be.
    """
    known = known_datasets(session.project)
    if name is not None:
        return [find_dataset(known, name)]
    args = {
        tuple(fill(word, element.values) for word in sweep.args)
        for sweep in sweeps
        for element in sweep.elements
    }
    names = {one for words in args for one in named_datasets(words)}
    return [known[one] for one in sorted(names) if one in known]


def bring_numbers(
    session: Session, sweeps: Sequence[Sweep], files: Sequence[str] = ()
) -> SlipwayError | None:
    """Ask how the elements of sweeps stand, and bring the JSON files of those that are done; why that failed.

    What is home is not brought again.

    Args:
        session: the checkout's.
        sweeps: the sweeps.
        files: those that are wanted of folders below an output folder.
    """
    ids = list(dict.fromkeys(one for sweep in sweeps for one in sweep.run_ids))
    if not ids:
        return None
    runs, unasked = list_runs(session, select_runs(session, run=ids), len(ids))
    tasks: dict[str, set[int]] = {}
    for sweep in sweeps:
        found = read_sweep(session, sweep, files)
        for element, numbers in zip(sweep.elements, found.numbers, strict=True):
            if element.place and numbers is None:
                tasks.setdefault(element.place.run_id, set()).add(element.place.task)
    failed: SlipwayError | None = None
    for run in runs:
        wanted = {task for task in tasks.get(run.run_id, ()) if _is_ok(run, task)}
        if wanted:
            only = ("*.json", *(f"{file}.json" for file in files))
            order = Order(wanted=Wanted(only=only, tasks=frozenset(wanted), attempt=LAST))
            failed = pull_several(session, [(run, session.site(run.site))], order, lambda _: None) or failed
    return failed or unasked


def _is_ok(run: Run, task: int) -> bool:
    return (run.task_statuses.get(task) or run.status).reason == Reason.OK
