import pytest

from slipway.run import Status
from slipway.slurm import JobState, SlurmJob
from slipway.watch import judge


def slurm(
    state: JobState, code: int | None = 0, signal: int | None = None, why: str | None = None
) -> SlurmJob:
    return SlurmJob(job_id="7", name="a", state=state, exit_code=code, signal=signal, elapsed_s=5, why=why)


def told(code: int, reason: str) -> dict[str, object]:
    return {"exit_code": code, "reason": reason, "start": 100, "end": 105}


def test_a_job_that_nobody_knows_of_is_unknown() -> None:
    assert judge(None, None) == Status(state=JobState.UNKNOWN)


def test_a_waiting_job_has_slurms_reason() -> None:
    job = slurm(JobState.PENDING, None, why="PartitionTimeLimit")
    assert judge(job, None) == Status(state=JobState.PENDING, reason="PartitionTimeLimit", elapsed_s=5)


@pytest.mark.parametrize(
    ("job", "result", "state", "reason", "code"),
    [
        (slurm(JobState.COMPLETED), told(0, "ok"), "COMPLETED", "ok", 0),
        (slurm(JobState.FAILED, 3), told(3, "program-error"), "FAILED", "program-error", 3),
        (slurm(JobState.FAILED, 255), told(255, "launch-failure"), "FAILED", "launch-failure", 255),
        # It saved when it was warned, and ended by itself.
        (slurm(JobState.COMPLETED), told(0, "time-limit"), "COMPLETED", "time-limit", 0),
        (slurm(JobState.TIMEOUT, 0), told(0, "time-limit"), "TIMEOUT", "time-limit", 0),
        (slurm(JobState.CANCELLED, 0, 15), told(143, "cancelled"), "CANCELLED", "cancelled", 143),
        # SLURM knows whom it was for; the script only sees the signal.
        (slurm(JobState.PREEMPTED, 0, 15), told(143, "cancelled"), "PREEMPTED", "preempted", 143),
        (
            slurm(JobState.OUT_OF_MEMORY, 0, 125),
            told(137, "program-error"),
            "OUT_OF_MEMORY",
            "out-of-memory",
            137,
        ),
        # They disagree: the worse is believed.
        (slurm(JobState.FAILED, 1), told(0, "ok"), "FAILED", "program-error", 1),
        (slurm(JobState.COMPLETED, 0), told(3, "program-error"), "FAILED", "program-error", 3),
        # The script did not come to its end.
        (slurm(JobState.NODE_FAIL, None), None, "NODE_FAIL", "node-failure", None),
        (slurm(JobState.FAILED, 0, 9), None, "FAILED", "program-error", 137),
        # Something before the script ended the job: nothing says that the program ran.
        (slurm(JobState.COMPLETED, 0), None, "FAILED", "launch-failure", None),
        # It never began.
        (slurm(JobState.CANCELLED, 0), None, "CANCELLED", "cancelled", None),
        # No accounting, and the job has left the queue.
        (None, told(0, "ok"), "COMPLETED", "ok", 0),
        (None, told(3, "program-error"), "FAILED", "program-error", 3),
    ],
)
def test_endings(
    job: SlurmJob | None, result: dict[str, object], state: str, reason: str, code: int | None
) -> None:
    status = judge(job, result)
    assert (status.state.value, status.reason, status.exit_code) == (state, reason, code)
