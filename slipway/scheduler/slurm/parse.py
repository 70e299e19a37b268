"""What SLURM's commands print, as values. Nothing here runs anything."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Any

from slipway.errors import ParseError
from slipway.quantity import parse_array
from slipway.scheduler.base import Job, State, Submission
from slipway.scheduler.slurm.rows import marked_rows, parse_number, rows_of

# SLURM's words for what is one thing to a user (`man squeue`, JOB STATE CODES).
_WORDS = {
    "CONFIGURING": State.PENDING,
    "REQUEUED": State.PENDING,
    "REQUEUE_FED": State.PENDING,
    "REQUEUE_HOLD": State.PENDING,
    "SPECIAL_EXIT": State.PENDING,
    "RESV_DEL_HOLD": State.PENDING,
    "RESIZING": State.RUNNING,
    "SIGNALING": State.RUNNING,
    "STAGE_OUT": State.COMPLETING,
    "STOPPED": State.SUSPENDED,
    "BOOT_FAIL": State.NODE_FAIL,
    "DEADLINE": State.TIMEOUT,
    "REVOKED": State.CANCELLED,
}
# Exit codes of a program that was ended by timeout or a signal, or could not be started. With 255 sbatch
# itself ends where it does not know an option.
_KILLED = range(124, 255)
_SUBMITTED = re.compile(r"([0-9]{1,18})(;\S+)?")
_ERROR = "sbatch: error: "
# "JobId=7 JobName=a UserId=me(1000) …"; a value ends at a space.
_SHOWN = re.compile(
    r"(?<!\S)(JobId|ArrayJobId|ArrayTaskId|JobName|JobState|ExitCode|RunTime|"
    r"TimeLimit|StartTime|EndTime|NodeList)=(\S*)"
)
_LATEST_S = 1 << 40
_MOST_JOBS = 150_000
# Words and times that are in many rows are read once.
_once = lru_cache(maxsize=4096)
# A word that may stand where there are no nodes: "(null)", "None assigned".
_NODES = re.compile(r"[\w.-][\w.,\[\]-]*")
# "7", "7_3" for a task of an array, "7_[4-9%2]" for those of its tasks that have not begun.
_ID = re.compile(r"([0-9]{1,18})(?:_(?:([0-9]{1,18})|\[(.*)\]))?")
_ELAPSED = re.compile(r"(?:([0-9]{1,9})-)?(?:([0-9]{1,9}):)?([0-9]{1,9}):([0-9]{1,9})(?:\.[0-9]+)?")


def parse_submitted(stdout: str) -> str:
    """The job's id: the last line that is one. A site's wrapper of sbatch may print others.

    Raises:
        ParseError: there is none in what sbatch printed.
    """
    found = [match for match in map(_SUBMITTED.fullmatch, map(str.strip, stdout.splitlines())) if match]
    if not found:
        raise ParseError(f"sbatch printed {stdout[:200]!r}; expected a job id")
    return found[-1][1]


def parse_submission(exit_code: int, stdout: str, stderr: str) -> Submission:
    """What came of a submission, by what sbatch answered, or a wrapper of it."""
    if exit_code in _KILLED:
        return Submission()
    lines = [line.strip() for line in stderr.splitlines()]
    if exit_code == 0:
        try:
            return Submission(job_id=parse_submitted(stdout))
        except ParseError:
            # A wrapper may end with 0 all the same.
            lines = [line for line in lines if line.startswith(_ERROR)]
            if not lines:
                return Submission()
    words = (line.removeprefix("sbatch: ").removeprefix("error: ").strip() for line in lines)
    return Submission(refusal="; ".join(filter(None, words)) or "it gave no reason")


def parse_queue(stdout: str) -> list[Job]:
    """Read the answer to :func:`slipway.scheduler.slurm.commands.queue_command`.

    Raises:
        ParseError: there is neither a header nor a row of those that were asked for, or one is of another
            form. An empty queue has its header.
    """
    rows = marked_rows(stdout, 8, "squeue")
    if not rows:
        raise ParseError("squeue printed nothing; expected at least its header")
    jobs: list[Job] = []
    for shown_id, name, state, elapsed, limit, start, nodes, waits_for in rows:
        if shown_id == "JOBID":
            continue
        tasks = parse_tasks(shown_id, "squeue")
        check_count(len(jobs) + len(tasks), "squeue")
        known = {
            "name": name,
            "state": parse_state(state),
            "native_state": state,
            "elapsed_s": parse_elapsed(elapsed),
            "pending_reason": None if waits_for in ("None", "") else waits_for,
            "limit_s": parse_elapsed(limit),
            "node": _nodes(nodes),
            **_times(parse_state(state), nodes, start),
        }
        jobs += [Job(job_id=job_id, task=task, **known) for job_id, task in tasks]
    return jobs


def parse_accounting(stdout: str) -> list[Job]:
    """Read the answer to :func:`slipway.scheduler.slurm.commands.accounting_command`.

    Raises:
        ParseError: there are words and no row of the fields that were asked for.
    """
    jobs: list[Job] = []
    for shown_id, name, state, codes, elapsed, limit, start, end, nodes in rows_of(
        stdout, 9, "sacct", lambda row: _ID.fullmatch(row[0]) is not None
    ):
        code, signal = _codes(codes)
        # "CANCELLED by 1000"
        word, _, _ = state.partition(" ")
        tasks = parse_tasks(shown_id, "sacct")
        check_count(len(jobs) + len(tasks), "sacct")
        known = {
            "name": name,
            "state": parse_state(word),
            "native_state": word,
            "exit_code": code,
            "signal": signal,
            "elapsed_s": parse_number(elapsed),
            "limit_s": parse_elapsed(limit),
            "node": _nodes(nodes),
            **_times(parse_state(word), nodes, start, end),
        }
        jobs += [Job(job_id=job_id, task=task, **known) for job_id, task in tasks]
    return jobs


def parse_shown(stdout: str) -> list[Job]:
    """Read the answer to :func:`slipway.scheduler.slurm.commands.show_command`.

    Raises:
        ParseError: a job lacks a field that every SLURM prints, or there are words and no job.
    """
    lines = [line.strip() for line in stdout.splitlines()]
    shown = [line for line in lines if line.startswith("JobId=")]
    if not shown and any(lines):
        raise ParseError(f"scontrol printed {stdout[:200]!r}; expected JobId=")
    jobs: list[Job] = []
    for line in shown:
        jobs += _shown(line)
        check_count(len(jobs), "scontrol")
    return jobs


def _shown(line: str) -> Iterator[Job]:
    fields = dict(_SHOWN.findall(line))
    if not {"JobId", "JobName", "JobState"} <= set(fields):
        raise ParseError(f"scontrol printed {line[:200]!r}; expected JobId=, JobName= and JobState=")
    code, signal = _codes(fields.get("ExitCode", ""))
    shown_id = fields["JobId"]
    if "ArrayJobId" in fields:
        index = fields.get("ArrayTaskId", "")
        shown_id = f"{fields['ArrayJobId']}_{index if parse_number(index) is not None else f'[{index}]'}"
    for job_id, task in parse_tasks(shown_id, "scontrol"):
        yield Job(
            job_id=job_id,
            task=task,
            name=fields["JobName"],
            state=parse_state(fields["JobState"]),
            native_state=fields["JobState"],
            exit_code=code,
            signal=signal,
            elapsed_s=parse_elapsed(fields.get("RunTime", "")),
            limit_s=parse_elapsed(fields.get("TimeLimit", "")),
            node=_nodes(fields.get("NodeList", "")),
            **_times(
                parse_state(fields["JobState"]),
                *(fields.get(name, "") for name in ("NodeList", "StartTime", "EndTime")),
            ),
        )


@_once
def parse_state(word: str) -> State:
    """A state as SLURM writes it; one that is not documented is UNKNOWN."""
    try:
        return _WORDS.get(word) or State(word)
    except ValueError:
        return State.UNKNOWN


@_once
def parse_elapsed(text: str) -> int | None:
    """``D-HH:MM:SS`` or less of it, in seconds; ``None`` where it is no time."""
    match = _ELAPSED.fullmatch(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _times(state: State, nodes: str, start: str, end: str = "") -> dict[str, Any]:
    """When a job began and ended, or when it is to begin; words such as ``N/A`` and ``Unknown`` are no times.

    SLURM prints an end that is to come, too, and a beginning of a job that was cancelled while it waited.
    """
    if state is State.PENDING:
        return {"expected_s": _time(start)}
    return {
        "started_s": _time(start) if _nodes(nodes) else None,
        "ended_s": _time(end) if state.is_over else None,
    }


def _time(text: str) -> int | None:
    seconds = parse_number(text)
    return seconds if seconds and seconds < _LATEST_S else None


@_once
def _nodes(text: str) -> str | None:
    return text if _NODES.fullmatch(text) else None


@_once
def _codes(text: str) -> tuple[int | None, int | None]:
    """Exit code and signal, of ``3:0``."""
    code, _, signal = text.partition(":")
    return parse_number(code), parse_number(signal) or None


def check_count(count: int, program: str) -> None:
    """Refuse more tasks than any cluster has: a row of a few letters may stand for 100,000."""
    if count > _MOST_JOBS:
        raise ParseError(f"{program} printed rows of more than {_MOST_JOBS:,} tasks; no cluster has so many")


def parse_tasks(shown_id: str, program: str) -> list[tuple[str, int | None]]:
    """The job's id, and the tasks of it that this id means."""
    match = _ID.fullmatch(shown_id)
    if match is None:
        raise ParseError(f"{program} printed the job id {shown_id[:200]!r}; expected one such as 7 or 7_3")
    job_id, index, rest = match.groups()
    if rest is None:
        return [(job_id, None if index is None else int(index))]
    try:
        return [(job_id, task) for task in parse_array(rest)]
    except ParseError:
        # Where there are many gaps in it, SLURM cuts it off: "1,3,5,...".
        return [(job_id, None)]
