"""What failed of runs or of a sweep, by how it stands now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.errors import UsageError
from slipway.job.run import Run
from slipway.job.selection import Selection
from slipway.steps.find import find_record, find_sweep
from slipway.steps.retry import Kind, kind_of
from slipway.steps.session import Session
from slipway.steps.status import list_runs
from slipway.sweep.record import Sweep


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A run of which something failed.

    Attributes:
        run: the run.
        tasks: those of its tasks that failed; none where all of it did.
    """

    run: Run
    tasks: frozenset[int] = frozenset()


def find_failed(session: Session, words: Sequence[str], sweep: str | None) -> list[Failed]:
    """What failed, in runs or in the elements of a sweep; what was cancelled is not meant.

    Args:
        session: the checkout's.
        words: ids or names of runs; without any, and without a sweep, it is the newest run.
        sweep: a sweep's id or name.

    Raises:
        UsageError: there is no such run or sweep.
        SlipwayError: it could not be asked how they stand.
    """
    places: dict[str, set[int] | None] = {}
    if sweep is not None:
        places |= _places_of(find_sweep(session, sweep))
    if words or sweep is None:
        places |= {find_record(session, word).run_id: None for word in words or (None,)}
    runs, error = list_runs(session, Selection(prefixes=tuple(places)), len(places))
    if error:
        raise error
    known = {run.run_id: run for run in runs}
    found = (_failed_of(known[run_id], tasks) for run_id, tasks in places.items() if run_id in known)
    return [one for one in found if one is not None]


def _places_of(sweep: Sweep) -> dict[str, set[int]]:
    """The runs that a sweep has elements in, and their tasks there.

    Raises:
        UsageError: there are none.
    """
    places: dict[str, set[int]] = {}
    for one in sweep.elements:
        if one.place is not None:
            places.setdefault(one.place.run_id, set()).add(one.place.task)
    if not places:
        raise UsageError(f"no element of the sweep {sweep.shown} was submitted")
    return places


def _failed_of(run: Run, wanted: set[int] | None) -> Failed | None:
    """What failed of a run; only some of its tasks are meant, where they are named."""
    if not run.task_indices:
        return Failed(run=run) if kind_of(run.status, is_claimed=False) is Kind.FAILED else None
    meant = [task for task in run.task_indices if wanted is None or task in wanted]
    tasks = {task for task in meant if kind_of(run.status_of(task), is_claimed=False) is Kind.FAILED}
    if not tasks:
        return None
    return Failed(run=run, tasks=frozenset() if tasks == set(run.task_indices) else frozenset(tasks))
