"""Pages among the results: each run's own, and one for several."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path

from slipway.errors import UsageError
from slipway.job.run import LOCAL, Run
from slipway.page.compare import MOST_RUNS, compare_page
from slipway.page.document import run_page, write_page
from slipway.page.subject import Subject
from slipway.progress import Progress

NAME = "index.html"


def write_pages(runs: Sequence[Run], results: Path, progress: Progress) -> Path:
    """Write the page of each run, ``<run>/index.html``, and for several one that compares them, beside these.

    Args:
        runs: one or more.
        results: where results are kept.
        progress: is told which page is made, and of which runs the results are not here.

    Returns:
        The page to look at: the run's own, or ``compare-….html``.

    Raises:
        HostError: a page cannot be written.
        UsageError: these are more runs than a page tells apart.
    """
    if len(runs) > MOST_RUNS:
        raise UsageError(f"{len(runs)} runs: a page compares {MOST_RUNS} at most")
    subjects = [Subject.of(run, results / run.run_id) for run in runs]
    for subject in subjects:
        progress.step(f"Making the page of {subject.run.shown}")
        write_page(subject.found.folder / NAME, run_page(subject))
        if not subject.found.is_home and subject.run.site != LOCAL:
            run_id = subject.run.run_id
            progress.note(f"the results of {run_id} are not here; `invoke show {run_id} --pull` brings them")
    if len(runs) == 1:
        return subjects[0].found.folder / NAME
    progress.step("Making the page that compares them")
    path = results / compare_name([run.run_id for run in runs])
    write_page(path, compare_page(subjects))
    return path


def compare_name(run_ids: Sequence[str]) -> str:
    """The name of the page of several runs: the same for the same runs in the same order."""
    if len(run_ids) <= 4:
        return f"compare-{'-'.join(run_id.partition('-')[0] for run_id in run_ids)}.html"
    return f"compare-{hashlib.sha256(' '.join(run_ids).encode()).hexdigest()[:8]}.html"
