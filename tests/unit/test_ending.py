import json
from dataclasses import replace

import pytest

from slipway.errors import ParseError
from slipway.job.ending import ScriptResult, merge_status, parse_result
from slipway.job.run import Reason, Status
from slipway.scheduler.base import Job, State


def slurm(state: State, code: int | None = 0, signal: int | None = None, waits_for: str | None = None) -> Job:
    return Job(
        job_id="7",
        name="a",
        state=state,
        native_state=state.value,
        exit_code=code,
        signal=signal,
        elapsed_s=5,
        pending_reason=waits_for,
    )


def script_result(code: int, reason: str) -> ScriptResult:
    signal = code - 128 if code > 128 else None
    return ScriptResult(exit_code=code, signal=signal, reason=Reason(reason), start=100, end=105)


def test_a_job_that_nobody_knows_of_is_unknown() -> None:
    assert merge_status(None, None) == Status(state=State.UNKNOWN)


def test_a_waiting_job_has_slurms_reason() -> None:
    job = slurm(State.PENDING, None, None, "PartitionTimeLimit")
    status = Status(
        state=State.PENDING, pending_reason="PartitionTimeLimit", elapsed_s=5, native_state="PENDING"
    )
    assert merge_status(job, None) == status


@pytest.mark.parametrize(
    ("job", "result", "state", "reason", "code"),
    [
        (slurm(State.COMPLETED), script_result(0, "ok"), "COMPLETED", "ok", 0),
        (slurm(State.FAILED, 3), script_result(3, "program-error"), "FAILED", "program-error", 3),
        (slurm(State.FAILED, 255), script_result(255, "launch-failure"), "FAILED", "launch-failure", 255),
        # It saved when it was warned, and ended by itself.
        (slurm(State.COMPLETED), script_result(0, "time-limit"), "COMPLETED", "time-limit", 0),
        (slurm(State.TIMEOUT, 0), script_result(0, "time-limit"), "TIMEOUT", "time-limit", 0),
        (slurm(State.CANCELLED, 0, 15), script_result(143, "cancelled"), "CANCELLED", "cancelled", 143),
        # SLURM knows whom it was for; the script only sees the signal.
        (slurm(State.PREEMPTED, 0, 15), script_result(143, "cancelled"), "PREEMPTED", "preempted", 143),
        (
            slurm(State.OUT_OF_MEMORY, 0, 125),
            script_result(137, "program-error"),
            "OUT_OF_MEMORY",
            "out-of-memory",
            137,
        ),
        # It ended well when it was told to stop.
        (slurm(State.CANCELLED, 0, 15), script_result(0, "cancelled"), "CANCELLED", "cancelled", 0),
        # sacct keeps seven bits of an exit code.
        (slurm(State.FAILED, 11), script_result(139, "program-error"), "FAILED", "program-error", 139),
        # They disagree: the more severe state wins.
        (slurm(State.NODE_FAIL, 0), script_result(0, "ok"), "NODE_FAIL", "node-failure", 0),
        (slurm(State.OUT_OF_MEMORY, 0, 125), script_result(0, "ok"), "OUT_OF_MEMORY", "out-of-memory", 0),
        (slurm(State.COMPLETED), script_result(0, "launch-failure"), "FAILED", "launch-failure", 0),
        (slurm(State.FAILED, 1), script_result(0, "ok"), "FAILED", "program-error", 1),
        (slurm(State.COMPLETED, 0), script_result(3, "program-error"), "FAILED", "program-error", 3),
        # The script did not come to its end.
        (slurm(State.NODE_FAIL, None), None, "NODE_FAIL", "node-failure", None),
        (slurm(State.NODE_FAIL, 0, 1), None, "NODE_FAIL", "node-failure", None),
        (slurm(State.FAILED, 0, 9), None, "FAILED", "program-error", 137),
        # The warning found nobody: the script had not begun.
        (slurm(State.FAILED, 0, 10), None, "FAILED", "time-limit", 138),
        # Something before the script ended the job: nothing says that the program ran.
        (slurm(State.COMPLETED, 0), None, "FAILED", "launch-failure", None),
        # It never began.
        (slurm(State.CANCELLED, 0), None, "CANCELLED", "cancelled", None),
        # No accounting, and the job has left the queue.
        (None, script_result(0, "ok"), "COMPLETED", "ok", 0),
        (None, script_result(3, "program-error"), "FAILED", "program-error", 3),
    ],
)
def test_endings(
    job: Job | None, result: ScriptResult | None, state: str, reason: str, code: int | None
) -> None:
    status = merge_status(job, result)
    assert (status.state.value, status.reason, status.exit_code) == (state, reason, code)


@pytest.mark.parametrize(
    ("job", "result", "note"),
    [
        (
            slurm(State.FAILED, 1),
            script_result(0, "ok"),
            "SLURM says FAILED 1:0, the job script ok, exit code 0",
        ),
        (
            slurm(State.COMPLETED),
            script_result(3, "program-error"),
            "SLURM says COMPLETED 0:0, the job script program-error, exit code 3",
        ),
        (
            slurm(State.FAILED, 4),
            script_result(3, "program-error"),
            "SLURM says FAILED 4:0, the job script program-error, exit code 3",
        ),
        (
            slurm(State.NODE_FAIL, None),
            script_result(0, "ok"),
            "SLURM says NODE_FAIL, the job script ok, exit code 0",
        ),
        (
            slurm(State.OUT_OF_MEMORY, 0, 125),
            script_result(0, "ok"),
            "SLURM says OUT_OF_MEMORY 0:125, the job script ok, exit code 0",
        ),
    ],
)
def test_where_they_disagree_both_are_shown(job: Job, result: ScriptResult, note: str) -> None:
    status = merge_status(job, result)
    assert status.note == note + "; the more severe state wins"
    assert (status.native_state, status.script_reason) == (job.state.value, result.reason.value)
    assert status.wait_code != 0


@pytest.mark.parametrize(
    ("job", "result"),
    [
        (slurm(State.COMPLETED), script_result(0, "ok")),
        (slurm(State.FAILED, 72), script_result(200, "program-error")),
        # The controller has the whole of it, accounting seven bits.
        (slurm(State.FAILED, 139), script_result(139, "program-error")),
        (slurm(State.PREEMPTED, 0, 15), script_result(143, "cancelled")),
        (slurm(State.OUT_OF_MEMORY, 0, 125), script_result(137, "program-error")),
        (slurm(State.TIMEOUT, 0, 15), script_result(143, "time-limit")),
    ],
)
def test_what_both_say_in_their_own_words_is_no_disagreement(job: Job, result: ScriptResult) -> None:
    assert merge_status(job, result).note is None


def test_a_signal_is_kept() -> None:
    assert merge_status(slurm(State.FAILED, 11), script_result(139, "program-error")).signal == 11
    assert merge_status(slurm(State.FAILED, 0, 9), None).signal == 9
    assert merge_status(slurm(State.OUT_OF_MEMORY, 0, 125), None).signal is None


def test_a_result_is_read() -> None:
    written = {"run_id": "a", "exit_code": 139, "signal": 11, "reason": "program-error", "start": 1, "end": 3}
    assert parse_result(json.dumps(written)) == ScriptResult(
        exit_code=139, signal=11, reason=Reason.PROGRAM_ERROR, start=1, end=3
    )


@pytest.mark.parametrize("broken", ["", "{", "[]", "{}", '{"exit_code": 0, "reason": "fine"}', "cat: EIO"])
def test_a_broken_result_is_noticed(broken: str) -> None:
    with pytest.raises(ParseError, match=r"result\.json holds"):
        parse_result(broken)


def test_where_and_when_are_slurms_and_else_the_scripts() -> None:
    job = Job(
        job_id="7",
        name="a",
        state=State.FAILED,
        exit_code=3,
        started_s=99,
        ended_s=106,
        node="node1",
        limit_s=600,
    )
    both = merge_status(job, script_result(3, "program-error"))
    assert (both.started_s, both.ended_s, both.node, both.limit_s) == (99, 106, "node1", 600)
    alone = merge_status(None, replace(script_result(3, "program-error"), node="node1"))
    assert (alone.started_s, alone.ended_s, alone.node) == (100, 105, "node1")
    waits = merge_status(Job(job_id="7", name="a", state=State.PENDING, expected_s=700), None)
    assert (waits.expected_s, waits.started_s) == (700, None)
