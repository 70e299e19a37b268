"""SLURM asked on the cluster itself: how jobs stand, and what came of a submission.

It reads what slipway/scheduler/slurm/ reads there, for a Python that cannot read that; the commands are in
the order. A test holds the two against each other.
"""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import os
import re
import subprocess
from typing import Callable, Dict, Iterable, List, Mapping, NamedTuple, Optional, Sequence, Tuple

from .rows import UnreadableError, parse_accounting, parse_queue, parse_shown
from .status import Job

AT_ONCE = 500
NAMES, SINCE = "@slipway-names@", "@slipway-since@"
_PATIENCE_S = 300
# What a job has in its environment would be taken for what the next one asks for.
_OF_A_JOB = re.compile(r"SLURM_(?!CONF$)|SLURMD_|(CUDA|ROCR)_VISIBLE_DEVICES$|GPU_DEVICE_ORDINAL$|TMPDIR$")
_KILLED = range(124, 255)
_SUBMITTED = re.compile(r"([0-9]{1,18})(;\S+)?")


class Done(NamedTuple):
    """What a program has answered."""

    code: int
    stdout: str
    stderr: str


class Asked(NamedTuple):
    """What SLURM knows of jobs, by names and tasks; why it could not be asked; why its history could not."""

    jobs: Mapping[Tuple[str, Optional[int]], Job]
    problem: Optional[str]
    history_problem: Optional[str]

    def job(self, name: str, task: Optional[int]) -> Optional[Job]:
        """A job or a task of it; one without an index stands for all tasks that were not named."""
        return self.jobs.get((name, task)) or self.jobs.get((name, None))


class Wanted(NamedTuple):
    """A run that is asked for."""

    name: str
    job_id: Optional[str]
    tasks: Sequence[Optional[int]]


def run(
    argv: Sequence[str],
    stdin: bytes = b"",
    timeout_s: float = _PATIENCE_S,
    cwd: Optional[str] = None,
) -> Done:
    """Run a program to its end, as if it was started outside of any job."""
    try:
        done = subprocess.run(  # noqa: UP022
            # In the C locale Python 3.6 would encode nothing but ASCII.
            [word.encode("utf-8", "surrogateescape") for word in argv],
            input=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={name: value for name, value in os.environ.items() if not _OF_A_JOB.match(name)},
            timeout=timeout_s,
            cwd=cwd,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Done(124, "", f"it did not end within {timeout_s:g} s")
    except OSError as error:
        return Done(127, "", f"{argv[0]}: {error.strerror}")
    return Done(done.returncode, _text(done.stdout), _text(done.stderr))


def _text(content: bytes) -> str:
    return content.decode("utf-8", "surrogateescape")


def query(commands: Mapping[str, Sequence[str]], wanted: Sequence[Wanted], since: str) -> Asked:
    """What SLURM knows of runs. Where the queue cannot be read, its accounting and its controller serve.

    Args:
        commands: ``queue``, ``accounting`` and ``show``, with :data:`NAMES` and :data:`SINCE` in them.
        wanted: the runs.
        since: a day before the first of them, as ``2026-01-31``.
    """
    names = [one.name for one in wanted]
    queue, queue_problem = _ask("squeue", parse_queue, commands["queue"], names, since)
    accounted, history_problem = _ask("sacct", parse_accounting, commands["accounting"], names, since)
    accounted.sort(key=lambda job: job.state != "PENDING")
    listed = {job.name for job in queue}
    late = {
        (job.name, job.task): job
        for job in accounted
        if not (queue_problem or job.is_over or job.name in listed)
    }
    jobs = {(job.name, job.task): job for job in [*accounted, *queue]}
    jobs = {key: job for key, job in jobs.items() if key not in late}
    found = Asked(jobs, queue_problem, history_problem)
    ids = [one.job_id for one in wanted if one.job_id and (queue_problem or _lacks(found, one))]
    shown: List[Job] = []
    for some in _parts(ids):
        try:
            shown += parse_shown(run([*commands["show"], *some]).stdout)
        except UnreadableError:
            break
    known = {(job.name, job.task): job for job in shown if job.name in names}
    if queue_problem:
        return Asked(_merged(jobs, known), queue_problem, history_problem)
    return Asked(_merged(late, known, jobs), None, history_problem)


def _merged(*parts: Mapping[Tuple[str, Optional[int]], Job]) -> Dict[Tuple[str, Optional[int]], Job]:
    merged: Dict[Tuple[str, Optional[int]], Job] = {}
    for part in parts:
        merged.update(part)
    return merged


def _lacks(found: Asked, one: Wanted) -> bool:
    jobs = [found.job(one.name, task) for task in one.tasks]
    return None in jobs and all(job is None or job.is_over for job in jobs)


def _ask(
    program: str,
    parse: Callable[[str], List[Job]],
    command: Sequence[str],
    names: Sequence[str],
    since: str,
) -> Tuple[List[Job], Optional[str]]:
    rows: List[Job] = []
    for some in _parts(names):
        done = run([word.replace(NAMES, ",".join(some)).replace(SINCE, since) for word in command])
        if done.code:
            words = " ".join(done.stderr.split()) or f"it ended with exit code {done.code}"
            return rows, f"{program} could not be asked: {words}"
        try:
            rows += parse(done.stdout)
        except UnreadableError as error:
            return rows, str(error)
    return rows, None


def _parts(items: Sequence[str]) -> Iterable[Sequence[str]]:
    return (items[start : start + AT_ONCE] for start in range(0, len(items), AT_ONCE))


def parse_submission(done: Done) -> Tuple[Optional[str], Optional[str]]:
    """What came of a submission: the job's id, or why it was refused; neither where that is not known."""
    if done.code in _KILLED:
        return None, None
    lines = [line.strip() for line in done.stderr.splitlines()]
    if done.code == 0:
        found = [
            match for match in map(_SUBMITTED.fullmatch, map(str.strip, done.stdout.splitlines())) if match
        ]
        if found:
            return found[-1].group(1), None
        lines = [line for line in lines if line.startswith("sbatch: error: ")]
        if not lines:
            return None, None
    words = [_without(_without(line, "sbatch: "), "error: ").strip() for line in lines]
    return None, "; ".join(filter(None, words)) or "it gave no reason"


def _without(line: str, beginning: str) -> str:
    return line[len(beginning) :] if line.startswith(beginning) else line
