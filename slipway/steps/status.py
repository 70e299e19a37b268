"""How the runs of a project stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import groupby

from slipway.errors import SlipwayError, SshError
from slipway.job.record_file import UnreadableRecord, describe_unreadable
from slipway.job.run import LOCAL, Run, Status
from slipway.job.selection import Selection
from slipway.scheduler.base import State
from slipway.steps.session import Session


def list_runs(session: Session, selection: Selection, count: int) -> tuple[list[Run], SlipwayError | None]:
    """Runs as they stand now, the newest first, and why some could not be asked for, if that is so.

    Nobody is asked about a run that is over, but for what it used where accounting was late with that, and
    its site is asked about others.

    Args:
        session: the checkout's.
        selection: which runs.
        count: how many runs at most.
    """
    runs, unreadable = _recorded(session, selection, count)
    known = {run.run_id: run for run in runs}
    errors: dict[str, SlipwayError] = {}
    alive = sorted((run for run in runs if not run.status.state.is_over), key=lambda run: run.site)
    for name, group in groupby(alive, key=lambda run: run.site):
        some = list(group)
        try:
            if name == LOCAL:
                from slipway.steps.local_runs import look_here

                known.update({run.run_id: run for run in look_here(session, some)})
                continue
            from slipway.steps.recover import recover_there
            from slipway.steps.refresh import refresh

            site = session.site(name)
            with session.connect(site) as host:
                some += recover_there(session, host, site, unreadable)
                late = [run for run in runs if run.site == name and _is_late(run)]
                new = refresh(session, host, [*some, *late])
        except SlipwayError as error:
            errors[name] = error
            unknown = Status(state=State.UNKNOWN, note=str(error))
            new = [replace(run, status=unknown) for run in some]
        known.update({run.run_id: run for run in new})
    if left := [record for record in unreadable if record.run_id not in known]:
        session.progress.note(describe_unreadable(left))
    # Where nobody answers, what was known last may be meant, too.
    recorded = {run.run_id: run for run in runs if run.site in errors}
    meant = [
        run
        for run in known.values()
        if selection.matches(run) or selection.matches(recorded.get(run.run_id, run))
    ]
    return sorted(meant, key=lambda run: run.submitted, reverse=True)[:count], _as_one(errors)


def _recorded(
    session: Session, selection: Selection, count: int
) -> tuple[Sequence[Run], Sequence[UnreadableRecord]]:
    """Runs that may be meant, by their records, and the records that cannot be read."""
    if not selection.states and selection.over is None:
        runs, unreadable = session.store.read(selection, count)
    else:  # Those that are not over may stand otherwise by now.
        alive, unreadable = session.store.read(replace(selection, states=frozenset(), over=False))
        over, _ = session.store.read(replace(selection, over=True), count)
        runs = [*alive, *over]
    return runs, () if selection.prefixes else unreadable


def _is_late(run: Run) -> bool:
    """Whether accounting did not have yet what it used, when it was last asked."""
    return run.status.state.is_over and run.usage is None and run.usage_tries > 0


def _as_one(errors: Mapping[str, SlipwayError]) -> SlipwayError | None:
    """One error for all sites that could not be asked; where it is one site, it keeps its exit code."""
    said = "\n".join(f"{site}: {error}" for site, error in errors.items())
    if len(errors) == 1:
        (error,) = errors.values()
        return type(error)(said)
    return SshError(said) if errors else None
