"""Runs that a page is to show."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.job.run import Run
from slipway.steps.find import describe_arguments, find_record, which_run
from slipway.steps.pull import pull as bring
from slipway.steps.session import Session


def runs_to_show(session: Session, prefixes: Sequence[str], *, pull: bool) -> list[Run]:
    """Runs by the beginnings of their ids or names, each once; without any, the newest, which is named.

    No site is asked: a page shows what is known here.

    Args:
        session: the checkout's.
        prefixes: what the runs are called.
        pull: bring their results home first.

    Raises:
        UsageError: there is no such run, or more than one.
    """
    found: dict[str, Run] = {}
    for prefix in prefixes or (None,):
        run = find_record(session, prefix)
        if prefix is None:
            session.progress.note(f"{run.shown}, {which_run(run)}: {describe_arguments(run)}")
        if pull and run.run_id not in found:
            run = bring(session, run.run_id).run
        found[run.run_id] = run
    return [*found.values()]
