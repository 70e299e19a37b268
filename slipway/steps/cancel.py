"""Jobs that are ended."""

from __future__ import annotations

from slipway.errors import UsageError
from slipway.job import watch
from slipway.job.run import Run
from slipway.steps.find import describe_arguments, find_run, which_run
from slipway.steps.refresh import refresh, save
from slipway.steps.session import Session


def cancel(session: Session, prefix: str | None) -> tuple[Run, bool]:
    """Cancel a run's job; without a name the newest, if the person at the terminal says yes to it.

    Returns:
        The run as it stands then, and whether it was over before.

    Raises:
        UsageError: it was not named, and nobody said yes.
    """
    run, site = find_run(session, prefix or _confirm_newest(session).run_id, to_end=True)
    with session.connect(site) as host:
        before = refresh(session, host, [run])[0]
        return save(session, watch.cancel(host, before)), before.status.state.is_over


def _confirm_newest(session: Session) -> Run:
    run = session.store.find(None)
    if run.status.state.is_over:
        return run  # There is nothing to lose.
    newest = f"{run.run_id} ({describe_arguments(run)})"
    answer = session.prompt.ask(f"Cancel {newest}, {which_run(run)}? Type yes to cancel it: ", echo=True)
    if answer is None or answer.strip().lower() not in ("y", "yes"):
        raise UsageError(f"nothing was cancelled; name the run: `invoke cancel RUN`. The newest is {newest}")
    return run
