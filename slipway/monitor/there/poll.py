"""How runs stand, by SLURM and by what job scripts wrote; slipway/job/poll.py has the reasons."""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import time
from datetime import datetime, timedelta
from typing import Dict, Mapping, Optional, Sequence

from .run import Run, Where, read_result
from .slurm import Asked, Wanted, query
from .status import Job, Status, merge, parse_result

GONE_S = 600
LOOKS, LOOK_S = 5, 1.0


def poll(commands: Mapping[str, Sequence[str]], runs: Sequence[Run]) -> Optional[str]:
    """Ask how runs stand, all of them at once, and write it down in them.

    Returns:
        Why SLURM could not be asked; ``None`` where it was.
    """
    if not runs:
        return None
    first = datetime.strptime(min(run.day for run in runs), "%Y-%m-%d")  # noqa: DTZ007
    since = (first - timedelta(days=1)).strftime("%Y-%m-%d")
    asked = query(commands, [Wanted(run.run_id, run.job_id, run.tasks) for run in runs], since)
    results = _results(runs, asked)
    for run in runs:
        jobs = [asked.job(run.run_id, task) for task in run.tasks]
        run.job_id = next((job.job_id for job in jobs if job), run.job_id)
        for task in run.tasks:
            run.statuses[task] = _stand(run, task, asked, results.get((run.run_id, task)))
    return asked.problem


def _results(runs: Sequence[Run], asked: Asked) -> Dict[Where, str]:
    left = {
        (run.run_id, task): (run, asked.job(run.run_id, task))
        for run in runs
        for task in run.tasks
        if _has_ended(asked.job(run.run_id, task)) and not run.status(task).is_settled
    }
    results: Dict[Where, str] = {}
    for look in range(1 + LOOKS):
        if look:
            # A network file system may show the file some seconds late.
            if not any(job is not None and job.state == "COMPLETED" for _, job in left.values()):
                break
            time.sleep(LOOK_S)
        for where, (run, _) in [*left.items()]:
            content = read_result(run, where[1])
            if content is not None:
                results[where] = content
                del left[where]
    return results


def _has_ended(job: Optional[Job]) -> bool:
    """True where SLURM does not know of it that it goes on."""
    return job is None or job.is_over


def _stand(run: Run, task: Optional[int], asked: Asked, content: Optional[str]) -> Status:
    job, before = asked.job(run.run_id, task), run.status(task)
    if _has_ended(job) and before.is_settled:
        return before
    result = None if content is None else parse_result(content)
    if job is None:
        if asked.problem and not (result and result.is_last):
            return before if before.is_over else Status("UNKNOWN")
        if result is None and before.is_over:
            return before
        if result is None:
            return Status("SUBMITTING") if run.job_id is None else _missing(run, before)
        return merge(None, result)
    if content is not None and result is None and job.state == "COMPLETED":
        # There is a result, so the script came to its end; only nobody can read it.
        return Status(job.state, reason="ok", exit_code=job.exit_code)
    return merge(job, result)


def _missing(run: Run, before: Status) -> Status:
    """A job that SLURM had, and of which nobody can say how it ended."""
    now_s = time.time()
    # A clock that was set back does not put it off.
    since = min(before.missing_since_s or now_s, now_s)
    if now_s - since <= GONE_S:
        return Status("UNKNOWN", missing_since_s=since)
    return Status("FAILED", reason="node-failure" if run.folder.is_dir() else "unknown")
