"""Watching: how runs stand, and what they print."""

from __future__ import annotations

import codecs
import json
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import PurePosixPath
from typing import Any

from slipway.errors import JobError, ParseError, RemoteError
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
LOOKS = 5
# A run that has no job id, and whose name SLURM does not know after this time, was never submitted.
LOST_S = 300
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
        job: what SLURM says, or ``None`` where it cannot be asked or does not know the job (any more).
        result: the content of ``result.json`` of the last attempt, or ``None`` where there is none.
    """
    if job is None:
        return _told(result) if result is not None else Status(state=JobState.UNKNOWN)
    if not job.state.is_over:
        return Status(state=job.state, reason=job.why, elapsed_s=job.elapsed_s)
    reason, state = _REASONS[job.state], job.state
    code = job.exit_code if not job.signal else 128 + job.signal
    if result is not None:
        code = int(result["exit_code"]) or code
        told = Reason(result["reason"])
        if state not in _SLURM_KNOWS and told is not Reason.OK:
            reason = told
    elif state is JobState.COMPLETED:
        # The script always says how it ended. Where it did not, something before it ended the job.
        state, reason, code = JobState.FAILED, Reason.LAUNCH_FAILURE, None
    elif state in _SLURM_KNOWS and code == 0:
        code = None  # SLURM's way to say that there was none
    if state is JobState.COMPLETED and code:
        state = JobState.FAILED
    return Status(state=state, reason=reason.value, exit_code=code, elapsed_s=job.elapsed_s)


def _told(result: Mapping[str, Any]) -> Status:
    """How a run ended by its script alone, where SLURM keeps no accounts and has forgotten the job."""
    code, reason = int(result["exit_code"]), Reason(result["reason"])
    state = JobState.CANCELLED if reason is Reason.CANCELLED else JobState.FAILED
    if code == 0 and reason in (Reason.OK, Reason.TIME_LIMIT):
        state = JobState.COMPLETED
    elapsed_s = int(result["end"]) - int(result["start"])
    return Status(state=state, reason=reason.value, exit_code=code, elapsed_s=elapsed_s)


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
                on_text(tail.read()[0] or tail.slurms_words())
                return run
        time.sleep(LOOK_S)


def cancel(link: Link, run: Run) -> Run:
    """Cancel a run's job, and return the run as it stands then.

    Raises:
        JobError: SLURM does not know the job, or could not be asked.
        RemoteError: SLURM refused.
    """
    run = poll(link, [run])[0]
    if run.status.state.is_over:
        return run
    if run.job_id is None:
        raise JobError(f"{link.target}: SLURM knows no job {run.run_id}; `invoke status` asks it again")
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

    def slurms_words(self) -> str:
        """What SLURM itself has said, for a run whose script never printed anything."""
        silent = self._attempt == 1 and self._offset == 0
        content = self._link.read(self._paths.slurm_log) if silent else None
        return (content or b"").decode("utf-8", errors="replace")

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
    """Jobs by their names; ``None`` where SLURM's queue did not answer."""
    names = [run.run_id for run in runs]
    # sacct takes the cluster's own time, which may be a day behind.
    since = (min(run.submitted for run in runs) - timedelta(days=1)).strftime("%Y-%m-%d")
    waiting = _answer(link, queue_command(names), parse_queue)
    accounted = _answer(link, accounting_command(names, since), parse_accounting)
    if waiting is None:
        return None
    # The queue is the fresher of the two: accounting may be some seconds late.
    return {job.name: job for job in (*(accounted or ()), *waiting)}


def _answer(
    link: Link, command: Sequence[str], parse: Callable[[str], Iterable[SlurmJob]]
) -> list[SlurmJob] | None:
    result = link.run(login_command(command))
    try:
        return list(parse(parse_login(result.stdout))) if result.ok else None
    except ParseError:
        return None


def _updated(link: Link, run: Run, jobs: Mapping[str, SlurmJob] | None) -> Run:
    if jobs is None:
        return replace(run, status=Status(state=JobState.UNKNOWN))
    job = jobs.get(run.run_id)
    if job is not None and not job.state.is_over:
        return replace(run, status=judge(job, None), job_id=job.job_id)
    result = _result(link, run)
    looks = LOOKS if job is not None and job.state is JobState.COMPLETED else 0
    while result is None and looks:
        # A network file system may show the file some seconds late.
        time.sleep(LOOK_S)
        result, looks = _result(link, run), looks - 1
    if job is None and result is None and run.job_id is None and _age_s(run) > LOST_S:
        status = Status(state=JobState.FAILED, reason=Reason.LAUNCH_FAILURE.value)
    else:
        status = judge(job, result)
    return replace(run, status=status, job_id=job.job_id if job is not None else run.job_id)


def _age_s(run: Run) -> float:
    return (datetime.now(timezone.utc) - run.submitted).total_seconds()


def _result(link: Link, run: Run) -> Mapping[str, Any] | None:
    paths = RunPaths(PurePosixPath(run.run_dir))
    content = link.read(paths.result(last_attempt(link, paths)))
    try:
        result = json.loads(content) if content else None
    except ValueError:
        return None
    return result if isinstance(result, dict) else None
