"""One run looked at: what it was made of, its attempts, what was not committed."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import SlipwayError
from slipway.job.attempts import Attempt, There, read_attempts_here, read_attempts_there
from slipway.job.home import read_home
from slipway.job.kept import keep_difference, recall_difference
from slipway.job.run import LOCAL, Run
from slipway.job.usage import wants_usage
from slipway.steps.find import find_record
from slipway.steps.local_runs import look_here
from slipway.steps.refresh import refresh
from slipway.steps.session import Session


@dataclass(frozen=True, kw_only=True)
class Details:
    """A run, and what is not in its record.

    Attributes:
        run: as it stands.
        attempts: its attempts; ``None`` where nobody could tell.
        diff: what was not committed; ``None`` where there is nothing, or nobody could tell.
        home: the folder with its results here; ``None`` where nothing was brought.
        is_whole: all that it has left is in there.
    """

    run: Run
    attempts: Sequence[Attempt] | None
    diff: str | None
    home: Path | None
    is_whole: bool


def find_details(session: Session, prefix: str | None) -> Details:
    """A run by the beginning of its id or by its name, with what is known of it here and on its cluster.

    The cluster is asked only for what is not here: where the run is not over, its results are not home, or
    accounting was late with what it used.
    What cannot be asked is told in a note, and is no error.
    """
    run = find_record(session, prefix)
    if run.site == LOCAL:
        (run,) = look_here(session, [run])
    home = session.project.results / run.run_id
    brought = read_home(session.project.results, run)
    is_whole = brought is not None and brought.is_complete
    attempts: Sequence[Attempt] | None = read_attempts_here(home) if home.is_dir() else None
    diff = recall_difference(session.project.state, session.project.results, run)
    if (not is_whole or wants_usage(run, time.time())) and _was_submitted(run):
        run, there = _ask(session, run, with_diff=run.dirty and diff is None)
        if there is not None:
            attempts, diff = there.attempts, there.diff or diff
            keep_difference(session.project.state, run, diff)
    return Details(
        run=run, attempts=attempts, diff=diff, home=home if home.is_dir() else None, is_whole=is_whole
    )


def _was_submitted(run: Run) -> bool:
    return run.site != LOCAL and (run.job_id is not None or not run.status.state.is_over)


def _ask(session: Session, run: Run, *, with_diff: bool) -> tuple[Run, There | None]:
    try:
        site = session.site(run.site)
        session.progress.step(f"Looking at {run.run_id} on {site.name}")
        with session.connect(site) as host:
            there = read_attempts_there(host, run, with_diff=with_diff)
            (run,) = refresh(session, host, [run])
    except SlipwayError as error:
        session.progress.note(f"{run.site} could not be asked for what is not here: {error}")
        return run, None
    if there is None:
        session.progress.note(f"{run.run_dir} is gone from {run.site}: what was there is not known any more")
    return run, there
