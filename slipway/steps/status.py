"""How the runs of a project stand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import groupby

from slipway.errors import SlipwayError, SshError
from slipway.job.run import Run, Status
from slipway.job.store import describe_unreadable
from slipway.scheduler.base import State
from slipway.steps.find import find_record
from slipway.steps.recover import recover_there
from slipway.steps.refresh import refresh
from slipway.steps.session import Session


def list_runs(session: Session, prefix: str | None, count: int) -> tuple[list[Run], SlipwayError | None]:
    """Runs as they stand now, the newest first, and why some could not be asked for, if that is so.

    Args:
        session: the checkout's.
        prefix: the beginning of one run's id; ``None`` for all runs.
        count: how many runs at most.
    """
    runs, unreadable = ([find_record(session, prefix)], ()) if prefix else session.store.read_all()
    runs = runs[:count]
    known = {run.run_id: run for run in runs}
    errors: dict[str, SlipwayError] = {}
    alive = sorted((run for run in runs if not run.status.state.is_over), key=lambda run: run.site)
    for name, group in groupby(alive, key=lambda run: run.site):
        some = list(group)
        try:
            site = session.site(name)
            with session.connect(site) as host:
                some += recover_there(session, host, site, unreadable)
                new = refresh(session, host, some)
        except SlipwayError as error:
            errors[name] = error
            unknown = Status(state=State.UNKNOWN, note=str(error))
            new = [replace(run, status=unknown) for run in some]
        known.update({run.run_id: run for run in new})
    if left := [record for record in unreadable if record.run_id not in known]:
        session.progress.note(describe_unreadable(left))
    listed = sorted(known.values(), key=lambda run: run.submitted, reverse=True)
    return listed[:count], _as_one(errors)


def _as_one(errors: Mapping[str, SlipwayError]) -> SlipwayError | None:
    """One error for all sites that could not be asked; where it is one site, it keeps its exit code."""
    said = "\n".join(f"{site}: {error}" for site, error in errors.items())
    if len(errors) == 1:
        (error,) = errors.values()
        return type(error)(said)
    return SshError(said) if errors else None
