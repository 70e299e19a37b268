"""What SLURM's commands print, as values. Nothing here runs anything."""

from __future__ import annotations

import re
from collections.abc import Sequence

from slipway.errors import ParseError
from slipway.resources import parse_array
from slipway.scheduler.base import Job, State, Submission

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
# "JobId=7 JobName=a UserId=me(1000) …"; a value ends at a space.
_SHOWN = re.compile(r"(?<!\S)(JobId|ArrayJobId|ArrayTaskId|JobName|JobState|ExitCode|RunTime)=(\S*)")
# "7", "7_3" for a task of an array, "7_[4-9%2]" for those of its tasks that have not begun.
_ID = re.compile(r"(\d+)(?:_(?:(\d+)|\[(.*)\]))?\Z")
_SPEC = re.compile(r"\d+(-\d+(:\d+)?)?(,\d+(-\d+(:\d+)?)?)*(%\d+)?\Z")
_ELAPSED = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?\Z")


def parse_submitted(stdout: str) -> str:
    """The job's id.

    Raises:
        ParseError: there is none in what sbatch printed.
    """
    job_id, _, _cluster = stdout.strip().partition(";")
    if not job_id.isdigit():
        raise ParseError(f"sbatch printed {stdout!r}; expected a job id")
    return job_id


def parse_submission(exit_code: int, stdout: str, stderr: str) -> Submission:
    """What came of a submission.

    Raises:
        ParseError: sbatch has accepted the job, and there is no id in what it printed.
    """
    if exit_code == 0:
        return Submission(job_id=parse_submitted(stdout))
    if exit_code in _KILLED:
        return Submission()
    lines = [line.removeprefix("sbatch: ").removeprefix("error: ").strip() for line in stderr.splitlines()]
    return Submission(refusal="; ".join(filter(None, lines)) or "it gave no reason")


def parse_queue(stdout: str) -> list[Job]:
    """Read the answer to :func:`slipway.scheduler.slurm.commands.queue_command`.

    Raises:
        ParseError: a line has not the five fields that were asked for.
    """
    jobs = []
    for line in filter(None, stdout.splitlines()):
        shown_id, name, state, elapsed, why = _fields(line, 5, "squeue")
        jobs += [
            Job(
                job_id=job_id,
                task=task,
                name=name,
                state=parse_state(state),
                elapsed_s=parse_elapsed(elapsed),
                why=None if why in ("None", "") else why,
            )
            for job_id, task in _tasks(shown_id, "squeue")
        ]
    return jobs


def parse_accounting(stdout: str) -> list[Job]:
    """Read the answer to :func:`slipway.scheduler.slurm.commands.accounting_command`.

    Raises:
        ParseError: a line has not the five fields that were asked for.
    """
    jobs = []
    for line in filter(None, stdout.splitlines()):
        shown_id, name, state, codes, elapsed = _fields(line, 5, "sacct")
        code, signal = _codes(codes)
        jobs += [
            Job(
                job_id=job_id,
                task=task,
                name=name,
                # "CANCELLED by 1000"
                state=parse_state(state.split(" ")[0]),
                exit_code=code,
                signal=signal,
                elapsed_s=int(elapsed) if elapsed.isdigit() else None,
            )
            for job_id, task in _tasks(shown_id, "sacct")
        ]
    return jobs


def parse_shown(stdout: str) -> list[Job]:
    """Read the answer to :func:`slipway.scheduler.slurm.commands.show_command`.

    Raises:
        ParseError: a line lacks a field that every SLURM prints.
    """
    jobs = []
    for line in filter(str.strip, stdout.splitlines()):
        fields = dict(_SHOWN.findall(line))
        if not {"JobId", "JobName", "JobState"} <= set(fields):
            raise ParseError(f"scontrol printed {line[:200]!r}; expected JobId=, JobName= and JobState=")
        code, signal = _codes(fields.get("ExitCode", ""))
        shown_id = fields["JobId"]
        if "ArrayJobId" in fields:
            index = fields.get("ArrayTaskId", "")
            shown_id = f"{fields['ArrayJobId']}_{index if index.isdigit() else f'[{index}]'}"
        jobs += [
            Job(
                job_id=job_id,
                task=task,
                name=fields["JobName"],
                state=parse_state(fields["JobState"]),
                exit_code=code,
                signal=signal,
                elapsed_s=parse_elapsed(fields.get("RunTime", "")),
            )
            for job_id, task in _tasks(shown_id, "scontrol")
        ]
    return jobs


def parse_state(word: str) -> State:
    """A state as SLURM writes it; one that is not documented is UNKNOWN."""
    try:
        return _WORDS.get(word) or State(word)
    except ValueError:
        return State.UNKNOWN


def parse_elapsed(text: str) -> int | None:
    """``D-HH:MM:SS`` or less of it, in seconds; ``None`` where it is no time."""
    match = _ELAPSED.match(text)
    if match is None:
        return None
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return ((days * 24 + hours) * 60 + minutes) * 60 + seconds


def _codes(text: str) -> tuple[int | None, int | None]:
    """Exit code and signal, of ``3:0``."""
    code, _, signal = text.partition(":")
    return int(code) if code.isdigit() else None, int(signal) if signal.isdigit() and signal != "0" else None


def _tasks(shown_id: str, program: str) -> list[tuple[str, int | None]]:
    """The job's id, and the tasks of it that this id means."""
    match = _ID.match(shown_id)
    if match is None:
        raise ParseError(f"{program} printed the job id {shown_id!r}; expected a number, or one such as 7_3")
    job_id, index, rest = match.groups()
    if rest is None:
        return [(job_id, None if index is None else int(index))]
    # Where there are many gaps in it, SLURM cuts it off: "1,3,5,...".
    return [(job_id, task) for task in parse_array(rest)] if _SPEC.match(rest) else [(job_id, None)]


def _fields(line: str, count: int, program: str) -> Sequence[str]:
    fields = line.split("|", count - 1)
    if len(fields) != count:
        raise ParseError(f"{program} printed {line!r}; expected {count} fields with | between them")
    return fields
