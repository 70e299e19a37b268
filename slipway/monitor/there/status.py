"""How jobs ended, by SLURM's record and by what their scripts wrote.

It is what slipway/job/ending.py says, for a Python that cannot read that; there are the reasons. A test
holds the two against each other.
"""
# ruff: noqa: UP006, UP035, UP045 - Python 3.6 has no others

import json
import re
from typing import Any, Dict, NamedTuple, Optional

OVER = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED")
UNFINISHED = ("PENDING", "RUNNING", "COMPLETING", "SUSPENDED", "SUBMITTING")
_REASONS = {
    "COMPLETED": "ok",
    "FAILED": "program-error",
    "CANCELLED": "cancelled",
    "TIMEOUT": "time-limit",
    "OUT_OF_MEMORY": "out-of-memory",
    "NODE_FAIL": "node-failure",
    "PREEMPTED": "preempted",
}
# Those that a job script writes.
_WRITTEN = (*_REASONS.values(), "launch-failure", "unknown")
_SLURM_KNOWS = ("CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED")
_SAVED = ("time-limit", "cancelled", "preempted")
_SIGUSR1 = 10
_JOB_ID = re.compile(r"\w[\w.@\[\]-]{0,199}")


class Job(NamedTuple):
    """What SLURM knows of one job, or of one task of an array."""

    job_id: str
    name: str
    state: str
    task: Optional[int] = None
    exit_code: Optional[int] = None
    signal: Optional[int] = None
    elapsed_s: Optional[int] = None
    node: Optional[str] = None

    @property
    def is_over(self) -> bool:
        """True where nothing will change any more."""
        return self.state in OVER


class Result(NamedTuple):
    """What the job script of one attempt wrote at its end."""

    exit_code: int
    reason: str
    elapsed_s: int
    job_id: Optional[str]
    node: Optional[str]
    continues: bool

    @property
    def is_last(self) -> bool:
        """True where no other attempt follows by itself."""
        return self.reason != "preempted" and not self.continues


class Status(NamedTuple):
    """How one try stands."""

    state: str
    reason: Optional[str] = None
    exit_code: Optional[int] = None
    elapsed_s: Optional[int] = None
    node: Optional[str] = None
    script_reason: Optional[str] = None
    # Since when SLURM has not known the job that it once accepted, in seconds since 1970.
    missing_since_s: Optional[float] = None

    @property
    def is_over(self) -> bool:
        """True where nothing will change any more."""
        return self.state in OVER

    @property
    def is_settled(self) -> bool:
        """True where its script has said how it ended, and that it does not begin again by itself."""
        return self.is_over and self.script_reason not in (None, "preempted", "time-limit")


def parse_result(content: str) -> Optional[Result]:
    """Read a ``result.json``; ``None`` where the job script did not write it so."""
    try:
        values = json.loads(content)
        if values.get("job_id") and not _JOB_ID.fullmatch(values["job_id"]):
            return None
        return Result(
            exit_code=_whole(values["exit_code"], 255),
            reason=_WRITTEN[_WRITTEN.index(values["reason"])],
            elapsed_s=_whole(values["end"], 1 << 40) - _whole(values["start"], 1 << 40),
            job_id=_text(values.get("job_id")),
            node=_text(values.get("node")),
            continues=values.get("continues") is True,
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def _text(value: Any) -> Optional[str]:
    return value if isinstance(value, str) and value else None


def _whole(value: Any, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(value)
    return value


def merge(job: Optional[Job], result: Optional[Result]) -> Status:
    """How a try stands, by both; where they disagree, the more severe state wins."""
    if job is None:
        return _by_script(result) if result else Status("UNKNOWN")
    if not job.is_over:
        return Status(job.state, elapsed_s=job.elapsed_s, node=job.node)
    if result and result.continues and job.state != "COMPLETED":
        # What it says is of the link before.
        result = None
    values = _by_both(job, result) if result else _by_slurm(job)
    return Status(elapsed_s=job.elapsed_s, node=job.node, **values)


def _by_script(result: Result) -> Status:
    state = "CANCELLED" if result.reason == "cancelled" else "FAILED"
    if result.exit_code == 0 and result.reason in ("ok", "time-limit"):
        state = "COMPLETED"
    return Status(
        state,
        reason=result.reason,
        exit_code=result.exit_code,
        elapsed_s=result.elapsed_s,
        node=result.node,
        script_reason=result.reason,
    )


def _by_slurm(job: Job) -> Dict[str, Any]:
    reason = _REASONS[job.state]
    code: Optional[int] = _exit_code(job)
    if job.state == "COMPLETED":
        # The script always says how it ended. Where it did not, something before it ended the job.
        return {"state": "FAILED", "reason": "launch-failure"}
    if job.state == "NODE_FAIL":
        return {"state": job.state, "reason": reason}
    if job.state in _SLURM_KNOWS and code == 0:
        code = None
    if job.state == "FAILED" and job.signal == _SIGUSR1:
        reason = "time-limit"
    return {"state": job.state, "reason": reason, "exit_code": code}


def _by_both(job: Job, result: Result) -> Dict[str, Any]:
    state, reason = job.state, _REASONS[job.state]
    code: Optional[int] = result.exit_code
    if state not in _SLURM_KNOWS:
        if result.reason != "ok":
            reason = result.reason
        if code == 0:
            code = _exit_code(job) or 0
        if code or reason not in (*_SAVED, "ok"):
            state = "FAILED"
    return {"state": state, "reason": reason, "exit_code": code, "script_reason": result.reason}


def _exit_code(job: Job) -> Optional[int]:
    # 0:125 is SLURM's code for a lack of memory. There is no such signal.
    return 128 + job.signal if job.signal and job.signal <= 64 else job.exit_code
