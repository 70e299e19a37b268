"""How a task stands that shares its job with others: by its own result, and else by the job. Pure."""

from __future__ import annotations

from dataclasses import replace

from slipway.job.ending import ScriptResult, by_script, merge_status
from slipway.job.run import Reason, Status
from slipway.scheduler.base import Job, State

# After these a task is not begun again where its job is requeued; see has_ended in cluster/job/bundles.sh.
FINAL = frozenset(
    {
        Reason.OK,
        Reason.PROGRAM_ERROR,
        Reason.OUT_OF_MEMORY,
        Reason.TIME_LIMIT,
        Reason.LAUNCH_FAILURE,
        Reason.NODE_FAILURE,
    }
)
# What SLURM calls a job that ended so.
_STATES = {
    Reason.OUT_OF_MEMORY: State.OUT_OF_MEMORY,
    Reason.TIME_LIMIT: State.TIMEOUT,
    Reason.PREEMPTED: State.PREEMPTED,
    Reason.NODE_FAILURE: State.NODE_FAIL,
}
# Why a task did not begin, by how its job ended.
_NOT_BEGUN = {
    State.TIMEOUT: Reason.TIME_LIMIT,
    State.NODE_FAIL: Reason.NODE_FAILURE,
    State.CANCELLED: Reason.CANCELLED,
    State.PREEMPTED: Reason.PREEMPTED,
}
_TURN = "its turn in its job"


def merge_task(job: Job | None, result: ScriptResult | None, *, has_begun: bool) -> Status:
    """How one of several tasks of a job stands.

    Args:
        job: what the scheduler says of the job; ``None`` where it does not know it (any more).
        result: what the script of the task's last attempt wrote.
        has_begun: whether the task has an attempt.
    """
    if result is not None and (job is None or result.reason in FINAL or job.state.is_over):
        return _by_result(result)
    if job is None or not job.state.is_over:
        status = merge_status(job, None)
        if job is None or job.state is State.PENDING or (has_begun and result is None):
            return status
        return replace(
            status,
            state=State.PENDING,
            pending_reason=_TURN,
            elapsed_s=None,
            started_s=None,
            native_state=None,
        )
    return _killed(job) if has_begun else _never_begun(job)


def is_final(before: Status) -> bool:
    """True where a task's own script has said how it ended, and it does not begin again by itself."""
    return before.state.is_over and before.script_reason in FINAL


def _by_result(result: ScriptResult) -> Status:
    status = by_script(result)
    return (
        status
        if status.state is not State.FAILED
        else replace(status, state=_STATES.get(result.reason, status.state))
    )


def _killed(job: Job) -> Status:
    """A task that was running when its job ended, and whose script could not say anything."""
    status = merge_status(job, None)
    if job.state in (State.FAILED, State.COMPLETED):
        # The job's exit code is another task's.
        note = "its script left no result.json: something ended it first, or scratch was full"
        return replace(
            status,
            state=State.FAILED,
            reason=Reason.LAUNCH_FAILURE.value,
            exit_code=None,
            signal=None,
            note=note,
        )
    return status


def _never_begun(job: Job) -> Status:
    reason = _NOT_BEGUN.get(job.state, Reason.LAUNCH_FAILURE)
    return Status(
        state=job.state if job.state in _NOT_BEGUN else State.FAILED,
        reason=reason.value,
        native_state=job.native_state,
        elapsed_s=0,
        ended_s=job.ended_s,
        note=f"it had not begun when its job ended ({job.state.value})",
    )
