"""Runs that a page is to show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from slipway.job.run import Run
from slipway.steps.find import describe_arguments, find_record, which_run
from slipway.steps.pull import Order
from slipway.steps.pull import pull as bring
from slipway.steps.session import Session


def runs_to_show(
    session: Session,
    prefixes: Sequence[str],
    *,
    pull: bool,
    tasks: Mapping[str, frozenset[int]] | None = None,
) -> list[Run]:
    """Runs by the beginnings of their ids or names, each once; without any, the newest, which is named.

    No site is asked: a page shows what is known here.

    Args:
        session: the checkout's.
        prefixes: what the runs are called.
        pull: bring their results home first.
        tasks: which tasks of a run are brought, by its id, where that is not all of it.

    Raises:
        UsageError: there is no such run, or more than one.
    """
    found: dict[str, Run] = {}
    order = Order(tasks=tasks or {})
    for prefix in prefixes or (None,):
        run = find_record(session, prefix)
        if prefix is None:
            session.progress.note(f"{run.shown}, {which_run(run)}: {describe_arguments(run)}")
        if pull and run.run_id not in found:
            run = bring(session, run.run_id, order).run
        found[run.run_id] = run
    return [*found.values()]
