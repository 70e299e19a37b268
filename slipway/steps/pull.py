"""Results brought home."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.errors import JobError
from slipway.job import results
from slipway.job.results import Results
from slipway.job.run import Run
from slipway.progress import explain_stop
from slipway.steps.find import find_run
from slipway.steps.refresh import current
from slipway.steps.session import Session


@dataclass(frozen=True, kw_only=True)
class Pulled:
    """A run whose results were brought home, as it stands, and what was brought."""

    run: Run
    results: Results


def pull(session: Session, prefix: str | None) -> Pulled:
    """Bring a run's results home; see :func:`slipway.job.results.pull`.

    Raises:
        JobError: the run was never submitted.
    """
    run, site = find_run(session, prefix)
    left = (
        f"what has arrived is in {session.project.results / run.run_id}; `invoke pull {run.run_id}` goes on"
    )
    with explain_stop(left), session.connect(site) as host:
        run = current(session, host, run)
        if run.job_id is None and run.status.state.is_over:
            raise JobError(f"{run.run_id} has no results: {run.status.note}")
        brought = results.pull(host, run, session.project.results, session.progress)
    return Pulled(run=run, results=brought)
