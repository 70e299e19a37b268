"""How tasks stand that share jobs: by what their own scripts wrote, and else by SLURM's word of the job."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import JobError
from slipway.job import poll as polling
from slipway.job.bundle_ending import FINAL, merge_task
from slipway.job.ending import ScriptResult
from slipway.job.join import check_joinable, join_command
from slipway.job.run import Reason, Run, Status
from slipway.monitor.decide import Case, decide
from slipway.monitor.rule import Failure, Rules
from slipway.scheduler.base import Job, State
from tests.unit.test_poll import Cluster, ask, write_result
from tests.unit.test_run import make_run


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LOOK_S", 0)


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "k3f9").mkdir()
    return replace(
        make_run("k3f9"),
        job_id="7",
        run_dir=str(tmp_path / "k3f9"),
        resources={"array": "0-5"},
        task_indices=tuple(range(6)),
        bundles={0: ((0, 1, 2),), 1: ((3, 4, 5),)},
        minutes=dict.fromkeys(range(6), 10),
    )


def begin(run: Run, task: int, attempt: int = 1) -> None:
    (Path(run.run_dir) / f"task-{task}" / f"attempt-{attempt}").mkdir(parents=True)


def words(run: Run) -> list[str]:
    return [
        " ".join(filter(None, [run.task_statuses[task].state.value, run.task_statuses[task].reason]))
        for task in range(6)
    ]


def test_a_task_is_over_before_its_job_is(run: Run) -> None:
    write_result(run, "task-0/attempt-1", 3, "program-error", node="node1")
    begin(run, 1)
    cluster = Cluster(queue="7_0|k3f9|RUNNING|0:05|None\n7_1|k3f9|PENDING|0:00|Resources\n")
    (now,) = ask(cluster, run)
    assert words(now) == ["FAILED program-error", "RUNNING", "PENDING", "PENDING", "PENDING", "PENDING"]
    assert now.task_statuses[2].pending_reason == "its turn in its job"
    assert now.task_statuses[3].pending_reason == "Resources"
    assert (now.task_statuses[0].exit_code, now.task_statuses[0].node) == (3, "node1")
    assert now.state is State.RUNNING
    # What is known for good is not asked for again; all others are.
    write_result(run, "task-2/attempt-1")
    (Path(run.run_dir) / "task-0" / "attempt-1" / "result.json").unlink()
    (Path(run.run_dir) / "task-1" / "attempt-1" / "result.json").write_text(
        '{"exit_code": 0, "signal": null, "reason": "ok", "start": 1, "end": 2}'
    )
    (now,) = ask(Cluster(accounting="7_0|k3f9|FAILED|3:0|5\n7_1|k3f9|CANCELLED by 1|0:0|0\n"), now)
    assert (
        words(now) == ["FAILED program-error", "COMPLETED ok", "COMPLETED ok"] + ["CANCELLED cancelled"] * 3
    )
    assert (now.state, now.status.reason) == (State.FAILED, "program-error")


def test_a_requeued_job_goes_on_with_what_had_not_ended(run: Run) -> None:
    write_result(run, "task-0/attempt-1")
    write_result(run, "task-1/attempt-1", 143, "preempted")
    running = Cluster(queue="7_0|k3f9|RUNNING|0:05|None\n7_1|k3f9|PENDING|0:00|Resources\n")
    (now,) = ask(running, run)
    # Of the one that was preempted there is no attempt yet.
    assert words(now)[:3] == ["COMPLETED ok", "PENDING", "PENDING"]
    begin(run, 1, attempt=2)
    (now,) = ask(running, run)
    assert words(now)[:3] == ["COMPLETED ok", "RUNNING", "PENDING"]
    # It waits again: what ended meanwhile is known, since it had begun.
    write_result(run, "task-2/attempt-2", 1, "program-error")
    waits = Cluster(queue="7_[0-1]|k3f9|PENDING|0:00|BeginTime\n")
    (now,) = ask(waits, now)
    assert words(now)[:3] == ["COMPLETED ok", "PENDING", "FAILED program-error"]


def test_without_accounts_the_scripts_alone_are_believed(run: Run) -> None:
    for task in range(5):
        write_result(run, f"task-{task}/attempt-1")
    write_result(run, "task-5/attempt-1", 1, "time-limit", note="it had not begun")
    (now,) = ask(Cluster(accounting=None), run)
    assert words(now) == ["COMPLETED ok"] * 5 + ["TIMEOUT time-limit"]


def result(reason: Reason, code: int = 0) -> ScriptResult:
    return ScriptResult(exit_code=code, signal=None, reason=reason, start=100, end=160, node="node1")


def job(state: State) -> Job:
    return Job(job_id="7", name="k3f9", state=state, exit_code=9, started_s=50, elapsed_s=500, node="node1")


@pytest.mark.parametrize(
    ("state", "own", "has_begun", "said"),
    [
        # What it wrote itself counts, whatever became of the others and of the job.
        (State.TIMEOUT, result(Reason.OK), False, "COMPLETED ok 0"),
        (State.NODE_FAIL, result(Reason.PROGRAM_ERROR, 4), False, "FAILED program-error 4"),
        (State.OUT_OF_MEMORY, result(Reason.OUT_OF_MEMORY, 137), False, "OUT_OF_MEMORY out-of-memory 137"),
        (State.OUT_OF_MEMORY, result(Reason.OK), False, "COMPLETED ok 0"),
        (State.RUNNING, result(Reason.TIME_LIMIT, 143), False, "TIMEOUT time-limit 143"),
        (State.RUNNING, result(Reason.TIME_LIMIT), False, "COMPLETED time-limit 0"),
        (State.CANCELLED, result(Reason.CANCELLED, 143), False, "CANCELLED cancelled 143"),
        (State.PREEMPTED, result(Reason.PREEMPTED, 143), False, "PREEMPTED preempted 143"),
        # It begins again with its job.
        (State.RUNNING, result(Reason.PREEMPTED, 143), False, "PENDING None None"),
        (State.RUNNING, result(Reason.CANCELLED, 143), False, "PENDING None None"),
        (State.PENDING, None, True, "PENDING None None"),
        (State.RUNNING, None, True, "RUNNING None None"),
        (State.RUNNING, None, False, "PENDING None None"),
        # Killed with its job.
        (State.TIMEOUT, None, True, "TIMEOUT time-limit 9"),
        (State.NODE_FAIL, None, True, "NODE_FAIL node-failure None"),
        (State.FAILED, None, True, "FAILED launch-failure None"),
        (State.COMPLETED, None, True, "FAILED launch-failure None"),
        # Its turn never came.
        (State.TIMEOUT, None, False, "TIMEOUT time-limit None"),
        (State.NODE_FAIL, None, False, "NODE_FAIL node-failure None"),
        (State.CANCELLED, None, False, "CANCELLED cancelled None"),
        (State.OUT_OF_MEMORY, None, False, "FAILED launch-failure None"),
        (State.FAILED, None, False, "FAILED launch-failure None"),
    ],
)
def test_endings(state: State, own: ScriptResult | None, has_begun: bool, said: str) -> None:
    status = merge_task(job(state), own, has_begun=has_begun)
    assert f"{status.state.value} {status.reason} {status.exit_code}" == said
    if own is None and not has_begun and state.is_over:
        assert status.note == f"it had not begun when its job ended ({state.value})"
        assert status.elapsed_s == 0


def test_the_script_and_this_side_agree_on_what_is_not_begun_again() -> None:
    block = (Path(__file__).parents[2] / "cluster" / "job" / "bundles.sh").read_text()
    [line] = [line for line in block.splitlines() if "grep -Eqs" in line]
    named = line.partition('"reason": "(')[2].partition(")")[0].split("|")
    assert {Reason(name) for name in named} == FINAL


def test_what_had_not_begun_is_submitted_again_with_its_own_time() -> None:
    status = Status(state=State.TIMEOUT, reason="time-limit", elapsed_s=0)
    case = Case(label="e", failure=Failure.TIME_LIMIT, status=status, tries=1, resources={"time": "10"})
    decision = decide(case, Rules(), {})
    assert (decision.again, decision.changes) == (True, {})
    assert decision.words == "e: ended by its time limit of 10 → again, since it had not begun, try 2 of 3"


def test_who_shares_a_job_is_joined_by_that(run: Run) -> None:
    argv = join_command(run, "script", ["ls"], task=4)
    assert "7_1" in argv
    running = {task: Status(state=State.RUNNING) for task in range(6)}
    check_joinable(replace(run, status=running[0], task_statuses=running), 4)
    lanes = replace(run, bundles={0: ((0, 1, 2), (3, 4, 5))}, task_statuses=running, status=running[0])
    with pytest.raises(JobError, match="task 4 of k3f9 shares its job with others that run beside it"):
        check_joinable(lanes, 4)
