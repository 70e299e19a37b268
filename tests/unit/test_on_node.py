"""Which task of a run is meant, and what is run beside it."""

from dataclasses import replace

import pytest

from slipway.errors import UsageError
from slipway.job.run import Status
from slipway.scheduler.base import Node, State
from slipway.steps.on_node import Place, choose_task, status_of
from tests.unit.test_run import make_run

RUN = replace(make_run("k3f9"), job_id="12")
ARRAY = replace(RUN, task_indices=(3, 5), task_statuses={5: Status(state=State.RUNNING, node="node2")})


def test_a_task_is_named_where_there_are_several() -> None:
    assert choose_task(RUN, None) is None
    assert choose_task(ARRAY, 5) == 5
    assert choose_task(replace(ARRAY, task_indices=(3,)), None) == 3
    with pytest.raises(UsageError, match="is an array: say which task with --task, such as 3"):
        choose_task(ARRAY, None)
    with pytest.raises(UsageError, match="--task 4: k3f9 has no such task"):
        choose_task(ARRAY, 4)
    with pytest.raises(UsageError, match="--task 4: k3f9 is no array"):
        choose_task(RUN, 4)


def test_a_task_stands_as_it_was_last_seen() -> None:
    assert status_of(ARRAY, 5).node == "node2"
    assert status_of(ARRAY, 3) == ARRAY.status
    assert status_of(RUN, None) == RUN.status


def test_a_program_is_started_on_the_node_of_the_task() -> None:
    argv = Place(run=ARRAY, task=5, node=Node(name="node2", address="10.0.0.2")).command(["cat"])
    assert "12_5" in argv
    assert argv[-3:] == ["--nodelist=node2", "--unbuffered", "cat"]
