"""Watching: how runs stand, and what they print."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import PurePosixPath
from typing import Any

from slipway.errors import ParseError, RemoteError
from slipway.link import Link
from slipway.loginshell import login_command, parse_login
from slipway.run import Reason, Run, RunPaths, Status
from slipway.slurm import (
    JobState,
    SlurmJob,
    accounting_command,
    cancel_command,
    parse_accounting,
    parse_queue,
    queue_command,
)

LOOK_S = 1.0
# SLURM is asked less often than the files are looked at: its controller serves everybody.
ASK_S = 10.0
_REASONS = {
    JobState.COMPLETED: Reason.OK,
    JobState.FAILED: Reason.PROGRAM_ERROR,
    JobState.CANCELLED: Reason.CANCELLED,
    JobState.TIMEOUT: Reason.TIME_LIMIT,
    JobState.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    JobState.NODE_FAIL: Reason.NODE_FAILURE,
    JobState.PREEMPTED: Reason.PREEMPTED,
}
# Where SLURM has one of these to say, the script cannot know better: it may not even have seen its end.
_SLURM_KNOWS = frozenset(_REASONS) - {JobState.COMPLETED, JobState.FAILED}


def poll(link: Link, runs: Sequence[Run]) -> list[Run]:
    """The same runs as they stand now; all of them are asked for at once.

    A run that SLURM cannot be asked about is UNKNOWN, never FAILED.
    """
    jobs = _ask(link, runs)
    return [_updated(link, run, jobs) for run in runs]


def judge(job: SlurmJob | None, result: Mapping[str, Any] | None) -> Status:
    """How a run stands, by SLURM's record and by what the job script wrote; the worse is believed.

    Args:
        job: what SLURM says, or ``None`` where it cannot be asked or does not know the job.
        result: the content of ``result.json`` of the last attempt, or ``None`` where there is none.
    """
    if job is None:
        return Status(state=JobState.UNKNOWN)
    if not job.state.is_over:
        return Status(state=job.state, reason=job.why, elapsed_s=job.elapsed_s)
    reason = _REASONS[job.state]
    code = job.exit_code if not job.signal else 128 + job.signal
    if result is not None:
        code = int(result["exit_code"]) or code
        told = Reason(result["reason"])
        if job.state not in _SLURM_KNOWS and told is not Reason.OK:
            reason = told
    state = JobState.FAILED if job.state is JobState.COMPLETED and code else job.state
    return Status(state=state, reason=reason.value, exit_code=code, elapsed_s=job.elapsed_s)


def follow(link: Link, run: Run, on_text: Callable[[str], None], on_change: Callable[[Run], None]) -> Run:
    """Hand over what a run prints, from the beginning until it is over.

    Args:
        link: the connection to its site.
        run: the run.
        on_text: is given each new piece of the log.
        on_change: is given the run whenever its state has changed.

    Returns:
        The run as it ended.
    """
    tail = LogTail(link, run)
    asked, patience = -ASK_S, LOOK_S
    while True:
        text, ended = tail.read()
        if text:
            on_text(text)
        now = time.monotonic()
        # The script's last act hurries the next question.
        if now - asked >= (LOOK_S if ended else patience):
            asked, patience = now, min(patience * 1.5, ASK_S)
            new = poll(link, [run])[0]
            if new.status.state is not run.status.state:
                on_change(new)
            run = new
            if run.status.state.is_over:
                on_text(tail.read()[0])
                return run
        time.sleep(LOOK_S)


def cancel(link: Link, run: Run) -> Run:
    """Cancel a run's job, and return the run as it stands then.

    Raises:
        RemoteError: SLURM refused.
    """
    run = poll(link, [run])[0]
    if run.status.state.is_over or run.job_id is None:
        return run
    result = link.run(login_command(cancel_command(run.job_id)))
    if not result.ok:
        raise RemoteError(f"{link.target}: job {run.job_id} was not cancelled: {result.stderr.strip()}")
    return poll(link, [run])[0]


class LogTail:
    """Reads a run's log piece by piece, each piece once, the attempts one after the other."""

    def __init__(self, link: Link, run: Run) -> None:
        self._link = link
        self._paths = RunPaths(PurePosixPath(run.run_dir))
        self._attempt = 1
        self._offset = 0
        # A character of several bytes may be half written: its beginning waits for the rest.
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")

    def read(self) -> tuple[str, bool]:
        """What has come since the last call, and whether the newest attempt has written its result."""
        newest = max(last_attempt(self._link, self._paths), 1)
        pieces = []
        while True:
            pieces.append(self._new())
            if self._attempt == newest:
                break
            self._attempt, self._offset = self._attempt + 1, 0
            pieces.append(f"--- attempt {self._attempt} ---\n")
        ended = self._link.read(self._paths.result(newest)) is not None
        return "".join(pieces), ended

    def _new(self) -> str:
        content = self._link.read(self._paths.log(self._attempt), self._offset) or b""
        self._offset += len(content)
        return self._decoder.decode(content)


def last_attempt(link: Link, paths: RunPaths) -> int:
    """The number of the newest attempt, 0 where the script has not begun yet."""
    names = link.list(paths.folder)
    numbers = [int(name.removeprefix("attempt-")) for name in names if name.startswith("attempt-")]
    return max(numbers, default=0)


def _ask(link: Link, runs: Sequence[Run]) -> dict[str, SlurmJob] | None:
    """Jobs by their names; ``None`` where SLURM did not answer."""
    names = [run.run_id for run in runs]
    # sacct takes the cluster's own time, which may be a day behind.
    since = (min(run.submitted for run in runs) - timedelta(days=1)).strftime("%Y-%m-%d")
    waiting = _answer(link, queue_command(names), parse_queue)
    accounted = _answer(link, accounting_command(names, since), parse_accounting)
    if waiting is None and accounted is None:
        return None
    # The queue is the fresher of the two: accounting may be some seconds late.
    return {job.name: job for job in (*(accounted or ()), *(waiting or ()))}


def _answer(
    link: Link, command: Sequence[str], parse: Callable[[str], Iterable[SlurmJob]]
) -> list[SlurmJob] | None:
    result = link.run(login_command(command))
    try:
        return list(parse(parse_login(result.stdout))) if result.ok else None
    except ParseError:
        return None


def _updated(link: Link, run: Run, jobs: Mapping[str, SlurmJob] | None) -> Run:
    job = jobs.get(run.run_id) if jobs is not None else None
    result = _result(link, run) if job is not None and job.state.is_over else None
    job_id = job.job_id if job is not None else run.job_id
    return replace(run, status=judge(job, result), job_id=job_id)


def _result(link: Link, run: Run) -> Mapping[str, Any] | None:
    paths = RunPaths(PurePosixPath(run.run_dir))
    content = link.read(paths.result(last_attempt(link, paths)))
    try:
        result = json.loads(content) if content else None
    except ValueError:
        return None
    return result if isinstance(result, dict) else None
