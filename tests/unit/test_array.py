import pytest

from slipway.job.array import combine
from slipway.job.run import Status
from slipway.scheduler.base import State

OK = Status(state=State.COMPLETED, reason="ok", exit_code=0, elapsed_s=5, native_state="COMPLETED")


def over(state: State, reason: str, code: int | None = None, note: str | None = None) -> Status:
    return Status(state=state, reason=reason, exit_code=code, elapsed_s=9, note=note)


ERROR = over(State.FAILED, "program-error", 3)
TIME = over(State.TIMEOUT, "time-limit", 143)
CANCELLED = over(State.CANCELLED, "cancelled")


def test_all_is_well() -> None:
    assert combine({1: OK, 5: OK}) == OK


@pytest.mark.parametrize(
    ("tasks", "state", "reason", "code"),
    [
        ([OK, ERROR, OK], "FAILED", "program-error", 3),
        ([ERROR, TIME], "TIMEOUT", "time-limit", 143),
        ([TIME, over(State.OUT_OF_MEMORY, "out-of-memory", 137)], "OUT_OF_MEMORY", "out-of-memory", 137),
        ([ERROR, over(State.NODE_FAIL, "node-failure")], "NODE_FAIL", "node-failure", None),
        ([CANCELLED, over(State.PREEMPTED, "preempted")], "PREEMPTED", "preempted", None),
        ([OK, CANCELLED], "CANCELLED", "cancelled", None),
        # It saved and ended by itself, which is not all that was wanted.
        ([OK, over(State.COMPLETED, "time-limit", 0), OK], "COMPLETED", "time-limit", 0),
    ],
)
def test_the_worst_task_is_the_runs_ending(
    tasks: list[Status], state: str, reason: str, code: int | None
) -> None:
    status = combine(dict(enumerate(tasks)))
    assert (status.state.value, status.reason, status.exit_code, status.elapsed_s) == (state, reason, code, 9)
    assert status.wait_code != 0


def test_the_note_names_those_that_did_not_do_well() -> None:
    tasks = dict.fromkeys(range(10), OK) | {7: ERROR, 8: over(State.CANCELLED, "cancelled")}
    assert combine(tasks).note == "8 of 10 tasks ok; task 7: program-error 3; task 8: cancelled"
    odd = over(State.FAILED, "program-error", 9, "SLURM says something else")
    assert (
        combine({0: OK, 1: odd}).note
        == "1 of 2 tasks ok; task 1: program-error 9 (SLURM says something else)"
    )
    many = combine(dict.fromkeys(range(7), ERROR)).note
    assert many is not None
    assert many.startswith("0 of 7 tasks ok; task 0: program-error 3; ")
    assert many.endswith("task 4: program-error 3; 2 more")


def test_an_array_is_over_when_all_of_it_is() -> None:
    waiting = Status(state=State.PENDING, pending_reason="JobArrayTaskLimit")
    running = Status(state=State.RUNNING, elapsed_s=2)
    status = combine({0: ERROR, 1: running, 2: waiting})
    assert (status.state, status.reason, status.note) == (State.RUNNING, None, None)
    status = combine({0: ERROR, 1: OK, 2: waiting})
    assert (status.state, status.pending_reason) == (State.PENDING, "JobArrayTaskLimit")
    assert combine({0: waiting, 1: waiting}).note is None
    unknown = Status(state=State.UNKNOWN, note="nobody knows", missing_since_s=5)
    assert combine({0: unknown, 1: running}).state is State.RUNNING
    status = combine({0: ERROR, 1: unknown})
    assert (status.state, status.missing_since_s) == (State.UNKNOWN, 5)
    assert status.note == "nobody knows"


def test_times_and_nodes_of_an_array_are_those_of_its_tasks() -> None:
    done = Status(state=State.COMPLETED, reason="ok", started_s=100, ended_s=150, node="node1")
    runs = Status(state=State.RUNNING, started_s=120, node="node[2-3]", limit_s=600)
    waits = Status(state=State.PENDING, expected_s=700)
    later = Status(state=State.PENDING, expected_s=900)
    now = combine({0: done, 1: runs, 2: waits, 3: later})
    assert (now.started_s, now.ended_s, now.expected_s) == (100, None, 700)
    assert (now.node, now.limit_s) == ("node[2-3]", 600)
    over = combine({0: done, 1: Status(state=State.COMPLETED, reason="ok", ended_s=190, node="node2")})
    assert (over.started_s, over.ended_s, over.expected_s, over.node) == (100, 190, None, "node1,node2")
