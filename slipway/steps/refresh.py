"""How runs stand now, asked and written down."""

from __future__ import annotations

from collections.abc import Sequence

from slipway.errors import TransferOnlyError
from slipway.host.host import Host
from slipway.job.poll import poll
from slipway.job.run import Run
from slipway.job.usage import add_usage
from slipway.scheduler.base import State
from slipway.steps.purge import ask_purge
from slipway.steps.session import Session


def save(session: Session, run: Run) -> Run:
    """Write down how a run stands."""
    session.store.save(run)
    return run


def refresh(session: Session, host: Host, runs: Sequence[Run]) -> list[Run]:
    """Runs of one site as they stand now, written down; a submission that was cut off is decided.

    A run that is over stays as it ended: the cluster may have forgotten it. It gets what it used, as soon as
    accounting has that.
    """
    store = session.store
    before = {run.run_id: run for run in runs}
    alive = [run for run in runs if not run.status.state.is_over]
    polled = {run.run_id: run for run in poll(host, alive)}
    refreshed: dict[str, Run] = {}
    for run in add_usage(host, [polled.get(run.run_id, run) for run in runs]):
        old = before[run.run_id]
        left = old.job_id is None and not store.is_submitting(old)
        new = _settled(host, run) if left and run.status.state is State.SUBMITTING else run
        # Where SLURM has refused it meanwhile, the command that was to submit it has removed it.
        refreshed[new.run_id] = save(session, new) if new != old and store.has(new) else new
    if runs:
        ask_purge(session, host, runs[0].site)
    return [refreshed[run.run_id] for run in runs]


def _settled(host: Host, run: Run) -> Run:
    from slipway.job.submit import settle

    return settle(host, run)


def current(session: Session, host: Host, run: Run) -> Run:
    """How a run stands; as it was last known, where the host only moves files."""
    try:
        return refresh(session, host, [run])[0]
    except TransferOnlyError:
        session.progress.note(f"how {run.run_id} stands is not known: this host runs no commands")
        return run
