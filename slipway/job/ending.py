"""Endings: how a run ended, by its scheduler and by what its job script wrote. Nothing here asks anybody."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from slipway.errors import ParseError
from slipway.job.run import JOB_ID, Reason, Status
from slipway.jsontext import load_json
from slipway.scheduler.base import Job, State

_REASONS = {
    State.COMPLETED: Reason.OK,
    State.FAILED: Reason.PROGRAM_ERROR,
    State.CANCELLED: Reason.CANCELLED,
    State.TIMEOUT: Reason.TIME_LIMIT,
    State.OUT_OF_MEMORY: Reason.OUT_OF_MEMORY,
    State.NODE_FAIL: Reason.NODE_FAILURE,
    State.PREEMPTED: Reason.PREEMPTED,
}
# Where SLURM has one of these to say, the script cannot know better: it may not even have seen its end.
_SLURM_KNOWS = frozenset(_REASONS) - {State.COMPLETED, State.FAILED}
# The script ends by itself after these, so that SLURM has only its exit code.
_SAVED = frozenset({Reason.TIME_LIMIT, Reason.CANCELLED, Reason.PREEMPTED})
# What the script may say of an ending that SLURM calls so. Where it cannot ask SLURM, a preemption looks like
# a cancelled job; where it does not see its cgroup, a lack of memory looks like a killed program.
_SAME = {
    State.COMPLETED: _SAVED | {Reason.OK},
    State.FAILED: frozenset(Reason) - {Reason.OK},
    State.CANCELLED: frozenset({Reason.CANCELLED}),
    State.TIMEOUT: frozenset({Reason.TIME_LIMIT}),
    State.OUT_OF_MEMORY: frozenset({Reason.OUT_OF_MEMORY, Reason.PROGRAM_ERROR}),
    State.NODE_FAIL: frozenset({Reason.NODE_FAILURE}),
    State.PREEMPTED: frozenset({Reason.PREEMPTED, Reason.CANCELLED}),
}
_LONGEST_NOTE = 500
# As Linux numbers it; this machine may have another system.
_SIGUSR1 = 10
_NEW_STATE = "{} calls the job's state by a word that its documentation did not have"
_NOT_ANY_MORE = "it was to begin again after its time limit, but {} does not know it any more"
_TOO_SHORT = "the warning before the time limit came before the job script had begun: it needs more time"
_NO_RESULT = "the job script left no result.json: something ended it first, or scratch was full"


@dataclass(frozen=True, kw_only=True)
class ScriptResult:
    """What the job script of one attempt wrote at its end; times are seconds since 1970."""

    exit_code: int
    signal: int | None
    reason: Reason
    start: int
    end: int
    job_id: str | None = None
    node: str | None = None
    # Whether it asked for the next link of a run that goes on after its time limit.
    continues: bool = False
    note: str | None = None

    @property
    def is_last(self) -> bool:
        """True where no other attempt follows by itself."""
        return self.reason is not Reason.PREEMPTED and not self.continues


def parse_result(content: str) -> ScriptResult:
    """Read a ``result.json``.

    Raises:
        ParseError: it is no JSON, or not of this form.
    """
    try:
        values = load_json(content)
        signal, job_id, node = values.get("signal"), values.get("job_id"), values.get("node")
        if job_id and not JOB_ID.fullmatch(job_id):
            raise ValueError(job_id)
        return ScriptResult(
            exit_code=_whole(values["exit_code"], 255),
            signal=None if signal is None else _whole(signal, 255),
            reason=Reason(values["reason"]),
            start=_whole(values["start"], 1 << 40),
            end=_whole(values["end"], 1 << 40),
            job_id=job_id or None,
            node=node if isinstance(node, str) and node else None,
            continues=values.get("continues") is True,
            note=_words(values.get("note")),
        )
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ParseError(
            f"result.json holds {content[:200]!r}, which the job script did not write"
        ) from error


def _words(value: object) -> str | None:
    return value[:_LONGEST_NOTE] if isinstance(value, str) and value else None


def _whole(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise ValueError(f"{value!r:.50} is not from 0 to {most}")
    return value


def merge_status(job: Job | None, script_result: ScriptResult | None, scheduler: str = "SLURM") -> Status:
    """How a run stands, by both; where they disagree, the more severe state wins, and both are in the status.

    Args:
        job: what the scheduler says, or ``None`` where it does not know the job (any more).
        script_result: what the script of the last attempt wrote, or ``None`` where it wrote nothing.
        scheduler: how that is called in words.
    """
    if job is None:
        return by_script(script_result, scheduler) if script_result else Status(state=State.UNKNOWN)
    if not job.state.is_over:
        note = _NEW_STATE.format(scheduler) if job.state is State.UNKNOWN else None
        return Status(
            state=job.state,
            pending_reason=job.pending_reason,
            elapsed_s=job.elapsed_s,
            native_state=job.native_state,
            note=note,
            expected_s=job.expected_s,
            **_where_and_when(job),
        )
    if script_result and script_result.continues and job.state is not State.COMPLETED:
        # What it says is of the link before.
        script_result = None
    status = _by_both(job, script_result, scheduler) if script_result else _by_slurm(job)
    status = replace(status, elapsed_s=job.elapsed_s, native_state=job.native_state)
    return replace(status, ended_s=job.ended_s, **_where_and_when(job))


def _where_and_when(job: Job) -> dict[str, Any]:
    return {"started_s": job.started_s, "node": job.node, "limit_s": job.limit_s}


def by_script(script_result: ScriptResult, scheduler: str = "SLURM") -> Status:
    """How a run ended by its script alone, where the scheduler has forgotten the job."""
    state = State.CANCELLED if script_result.reason is Reason.CANCELLED else State.FAILED
    if script_result.exit_code == 0 and script_result.reason in (Reason.OK, Reason.TIME_LIMIT):
        state = State.COMPLETED
    return Status(
        state=state,
        reason=script_result.reason.value,
        exit_code=script_result.exit_code,
        signal=script_result.signal,
        elapsed_s=script_result.end - script_result.start,
        started_s=script_result.start,
        ended_s=script_result.end,
        node=script_result.node,
        script_reason=script_result.reason.value,
        note=_NOT_ANY_MORE.format(scheduler) if script_result.continues else script_result.note,
    )


def _by_slurm(job: Job) -> Status:
    reason, code = _REASONS[job.state], _exit_code(job)
    if job.state is State.COMPLETED:
        # The script always says how it ended. Where it did not, something before it ended the job.
        return Status(state=State.FAILED, reason=Reason.LAUNCH_FAILURE.value, note=_NO_RESULT)
    if job.state is State.NODE_FAIL:
        # It has 0:1 for some of these, which is no signal of the program's.
        return Status(state=job.state, reason=reason.value)
    if job.state in _SLURM_KNOWS and code == 0:
        code = None  # SLURM's way to say that there was none
    note = _NO_RESULT if job.state is State.FAILED else None
    if job.state is State.FAILED and job.signal == _SIGUSR1:
        # Nothing but the warning sends this signal to the script, which sets its handler first of all.
        reason, note = Reason.TIME_LIMIT, _TOO_SHORT
    return Status(state=job.state, reason=reason.value, exit_code=code, signal=_signal(job), note=note)


def _by_both(job: Job, script_result: ScriptResult, scheduler: str) -> Status:
    state, reason, code, signal = (
        job.state,
        _REASONS[job.state],
        script_result.exit_code,
        script_result.signal,
    )
    if state not in _SLURM_KNOWS:
        if script_result.reason is not Reason.OK:
            reason = script_result.reason
        if code == 0:
            code, signal = _exit_code(job) or 0, _signal(job)
        if code or reason not in _SAVED | {Reason.OK}:
            state = State.FAILED
    return Status(
        state=state,
        reason=reason.value,
        exit_code=code,
        signal=signal,
        script_reason=script_result.reason.value,
        note=script_result.note if _agree(job, script_result) else _both(job, script_result, scheduler),
    )


def _agree(job: Job, script_result: ScriptResult) -> bool:
    if script_result.reason not in _SAME[job.state]:
        return False
    if job.state in _SLURM_KNOWS or job.signal is not None or job.exit_code is None:
        return True
    # sacct keeps seven bits of an exit code only: of 139 it says 11:0.
    return job.exit_code % 128 == script_result.exit_code % 128


def _both(job: Job, script_result: ScriptResult, scheduler: str) -> str:
    codes = "" if job.exit_code is None else f" {job.exit_code}:{job.signal or 0}"
    script = f"{script_result.reason.value}, exit code {script_result.exit_code}"
    return f"{scheduler} says {job.state.value}{codes}, the job script {script}; the more severe state wins"


def _exit_code(job: Job) -> int | None:
    signal = _signal(job)
    return 128 + signal if signal else job.exit_code


def _signal(job: Job) -> int | None:
    # 0:125 is SLURM's code for a lack of memory. There is no such signal.
    return job.signal if job.signal and job.signal <= 64 else None
