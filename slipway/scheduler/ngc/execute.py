"""Runs a program in a running job: ``python -m slipway.scheduler.ngc.execute JOB TASK WORD …``.

It is a program of its own on this machine: which job an array's task is has to be asked first. ``ngc batch
exec`` gives what it runs a terminal, and hands on no exit code.
"""

from __future__ import annotations

import shlex
import subprocess
import sys
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone

from slipway.errors import ParseError
from slipway.scheduler.ngc.commands import exec_command, info_command, list_command, run_label, split_id
from slipway.scheduler.ngc.parse import parse_job, parse_jobs


def execute_command(job_id: str, argv: Sequence[str], *, task: int | None = None) -> list[str]:
    """The argv that runs a program in a job, in a login shell, which finds ``ngc``."""
    words = [
        sys.executable,
        "-m",
        __spec__.name if __spec__ else __name__,
        job_id,
        "" if task is None else str(task),
    ]
    return ["bash", "-lc", 'exec "$@"', "slipway", *words, *argv]


def main(words: Sequence[str]) -> int:
    """Run it, and return the exit code of ``ngc``."""
    job_id, task, *argv = words
    number, where = split_id(job_id)
    try:
        number = _number(number, where, int(task)) if task else number
    except (subprocess.CalledProcessError, ParseError, LookupError) as error:
        print(f"slipway: job {job_id}: {error}", file=sys.stderr)
        return 1
    line = shlex.join(argv) if argv else None
    return subprocess.run(exec_command(where, number, line), check=False).returncode


def _number(number: str, where: Sequence[str], task: int) -> str:
    first = parse_job(_ask(info_command(where, number)))
    if first.job.task == task:
        return number
    own = [
        *where,
        *([f"--team={first.team}"] if first.team else []),
        *([f"--ace={first.ace}"] if first.ace else []),
    ]
    since = datetime.now(timezone.utc) - timedelta(days=400)
    jobs = parse_jobs(_ask(list_command(own, since=since, label=run_label(first.job.name))))
    tasks = {one.job.task: str(one.number) for one in jobs if one.job.name == first.job.name}
    if task not in tasks:
        raise LookupError(f"its array has no task {task} at the platform")
    return tasks[task]


def _ask(argv: Sequence[str]) -> str:
    return subprocess.run(argv, check=True, capture_output=True, text=True, timeout=300).stdout


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
