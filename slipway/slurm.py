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
_ELAPSED = re.compile(r"(?:(\d+)-)?(?:(\d+):)?(\d+):(\d+)(?:\.\d+)?\Z")


@dataclass(frozen=True, kw_only=True)
class SlurmJob:
    """What SLURM knows of one job; ``exit_code`` and ``signal`` are the batch script's."""

    job_id: str
    name: str
    state: JobState
    exit_code: int | None = None
    signal: int | None = None
    elapsed_s: int | None = None
    why: str | None = None


def submit_command(script: PurePosixPath) -> list[str]:
    """Submit a script, and print no more than its id."""
    return ["sbatch", "--parsable", str(script)]


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
    """Ask for the user's waiting and running jobs: those of these names, or all."""
    named = [] if names is None else [f"--name={','.join(names)}"]
    return ["squeue", "--noheader", "--me", *named, "--format=%i|%j|%T|%M|%r"]


def parse_queue(stdout: str) -> list[SlurmJob]:
    """Read the answer to :func:`queue_command`.

    Raises:
        ParseError: a line has not the five fields that were asked for.
    """
    jobs = []
    for line in filter(None, stdout.splitlines()):
        job_id, name, state, elapsed, why = _fields(line, 5, "squeue")
        reason = None if why in ("None", "") else why
        jobs.append(
            SlurmJob(
                job_id=job_id,
                name=name,
                state=parse_state(state),
                elapsed_s=parse_elapsed(elapsed),
                why=reason,
            )
        )
    return jobs


def accounting_command(names: Iterable[str], since: str) -> list[str]:
    """Ask accounting for the jobs of these names that were submitted since a date (``2026-01-31``)."""
    fields = "JobIDRaw,JobName,State,ExitCode,ElapsedRaw"
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
        job_id, name, state, codes, elapsed = _fields(line, 5, "sacct")
        code, _, signal = codes.partition(":")
        jobs.append(
            SlurmJob(
                job_id=job_id,
                name=name,
                # "CANCELLED by 1000"
                state=parse_state(state.split(" ")[0]),
                exit_code=int(code) if code.isdigit() else None,
                signal=int(signal) if signal.isdigit() and signal != "0" else None,
                elapsed_s=int(elapsed) if elapsed.isdigit() else None,
            )
        )
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


def _fields(line: str, count: int, program: str) -> Sequence[str]:
    fields = line.split("|", count - 1)
    if len(fields) != count:
        raise ParseError(f"{program} printed {line!r}; expected {count} fields with | between them")
    return fields
