"""SLURM's commands and answers: argv out, values in. Nothing here runs anything."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from slipway.errors import ParseError


class JobState(str, Enum):
    """What SLURM calls the states of a job, and two of our own."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    COMPLETING = "COMPLETING"
    SUSPENDED = "SUSPENDED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"
    TIMEOUT = "TIMEOUT"
    OUT_OF_MEMORY = "OUT_OF_MEMORY"
    NODE_FAIL = "NODE_FAIL"
    PREEMPTED = "PREEMPTED"
    # Written down here, but not yet known to SLURM.
    SUBMITTING = "SUBMITTING"
    # SLURM could not be asked, or its answer could not be read.
    UNKNOWN = "UNKNOWN"

    @property
    def is_over(self) -> bool:
        """True where nothing will change any more."""
        return self in _OVER


_OVER = frozenset(
    {
        JobState.COMPLETED,
        JobState.FAILED,
        JobState.CANCELLED,
        JobState.TIMEOUT,
        JobState.OUT_OF_MEMORY,
        JobState.NODE_FAIL,
        JobState.PREEMPTED,
    }
)
# SLURM's words for what is one thing to a user (`man squeue`, JOB STATE CODES).
_WORDS = {
    "CONFIGURING": JobState.PENDING,
    "REQUEUED": JobState.PENDING,
    "REQUEUE_FED": JobState.PENDING,
    "REQUEUE_HOLD": JobState.PENDING,
    "SPECIAL_EXIT": JobState.PENDING,
    "RESV_DEL_HOLD": JobState.PENDING,
    "RESIZING": JobState.RUNNING,
    "SIGNALING": JobState.RUNNING,
    "STAGE_OUT": JobState.COMPLETING,
    "STOPPED": JobState.SUSPENDED,
    "BOOT_FAIL": JobState.NODE_FAIL,
    "DEADLINE": JobState.TIMEOUT,
    "REVOKED": JobState.CANCELLED,
}
# "JobId=7 JobName=a UserId=me(1000) …"; a value ends at a space.
_SHOWN = re.compile(r"(?<!\S)(JobId|ArrayJobId|ArrayTaskId|JobName|JobState|ExitCode|RunTime)=(\S*)")
# "7", "7_3" for a task of an array, "7_[4-9%2]" for those of its tasks that have not begun.
_ID = re.compile(r"(\d+)(?:_(?:(\d+)|\[(.*)\]))?\Z")
_SPEC = re.compile(r"\d+(-\d+(:\d+)?)?(,\d+(-\d+(:\d+)?)?)*(%\d+)?\Z")
_ELAPSED = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?\Z")


@dataclass(frozen=True, kw_only=True)
class SlurmJob:
    """What SLURM knows of one job, or of one task of an array.

    Attributes:
        job_id: of an array, the whole array's.
        name: the job's name.
        state: how it stands.
        exit_code: the batch script's.
        signal: what killed the batch script.
        elapsed_s: seconds that it has run.
        why: why it waits.
        task: its index in the array; ``None`` for a job that is none, or for those that SLURM does not name.
    """

    job_id: str
    name: str
    state: JobState
    exit_code: int | None = None
    signal: int | None = None
    elapsed_s: int | None = None
    why: str | None = None
    task: int | None = None


def submit_command(script: PurePosixPath, options: Sequence[str] = ()) -> list[str]:
    """Submit a script, and print no more than its id.

    Args:
        script: the job script, on the cluster.
        options: the same that its lines of ``#SBATCH`` have. A login shell may set SBATCH_ACCOUNT and the
            like, which go before these lines, but not before the command line.
    """
    return ["sbatch", "--parsable", *options, str(script)]


def parse_array(spec: str) -> list[int]:
    """The indices of an array's tasks, in order.

    Args:
        spec: as ``--array`` has it: ``0-9``, ``1,3,5``, ``0-9:3%2``.
    """
    indices: set[int] = set()
    for part in spec.partition("%")[0].split(","):
        ends, _, step = part.partition(":")
        first, _, last = ends.partition("-")
        indices.update(range(int(first), int(last or first) + 1, int(step or 1)))
    return sorted(indices)


def parse_submitted(stdout: str) -> str:
    """The job's id.

    Raises:
        ParseError: there is none in what sbatch printed.
    """
    job_id, _, _cluster = stdout.strip().partition(";")
    if not job_id.isdigit():
        raise ParseError(f"sbatch printed {stdout!r}; expected a job id")
    return job_id


def cancel_command(job_id: str) -> list[str]:
    """Cancel a job."""
    return ["scancel", "--verbose", job_id]


def queue_command(names: Iterable[str] | None = None) -> list[str]:
    """Ask for the user's waiting and running jobs, those of these names or all; arrays by their tasks."""
    named = [] if names is None else [f"--name={','.join(names)}"]
    return ["squeue", "--noheader", "--me", "--array", *named, "--format=%i|%j|%T|%M|%r"]


def parse_queue(stdout: str) -> list[SlurmJob]:
    """Read the answer to :func:`queue_command`.

    Raises:
        ParseError: a line has not the five fields that were asked for.
    """
    jobs = []
    for line in filter(None, stdout.splitlines()):
        shown_id, name, state, elapsed, why = _fields(line, 5, "squeue")
        jobs += [
            SlurmJob(
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


def accounting_command(names: Iterable[str], since: str) -> list[str]:
    """Ask accounting for the jobs of these names that were submitted since a date (``2026-01-31``)."""
    fields = "JobID,JobName,State,ExitCode,ElapsedRaw"
    return [
        "sacct",
        "--noheader",
        "--parsable2",
        "--allocations",
        f"--starttime={since}",
        f"--name={','.join(names)}",
        f"--format={fields}",
    ]


def parse_accounting(stdout: str) -> list[SlurmJob]:
    """Read the answer to :func:`accounting_command`.

    Raises:
        ParseError: a line has not the five fields that were asked for.
    """
    jobs = []
    for line in filter(None, stdout.splitlines()):
        shown_id, name, state, codes, elapsed = _fields(line, 5, "sacct")
        code, signal = _codes(codes)
        jobs += [
            SlurmJob(
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


def show_command(job_ids: Iterable[str]) -> list[str]:
    """Ask the controller for jobs by their ids; it remembers them for some minutes after their end.

    It fails for a job that it has forgotten, so each is asked for by itself.
    """
    loop = 'for id; do scontrol --oneliner show job "$id" 2>/dev/null; done; true'
    return ["sh", "-c", loop, "slipway", *job_ids]


def parse_shown(stdout: str) -> list[SlurmJob]:
    """Read the answer to :func:`show_command`.

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
            SlurmJob(
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


def parse_state(word: str) -> JobState:
    """A state as SLURM writes it; one that is not documented is UNKNOWN."""
    try:
        return _WORDS.get(word) or JobState(word)
    except ValueError:
        return JobState.UNKNOWN


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
