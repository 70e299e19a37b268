"""Which task of a run is meant, and what is run beside it."""

from dataclasses import replace
from typing import cast

import pytest

from slipway.errors import JobError, UsageError
from slipway.host.host import Host
from slipway.job.run import Status
from slipway.scheduler.base import Node, State
from slipway.steps import on_node
from slipway.steps.on_node import Place, choose_node, choose_task, status_of
from slipway.steps.session import Session
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


def test_the_first_node_is_meant_or_the_one_that_is_named() -> None:
    nodes = [Node(name="gpu1", address="10.0.0.1"), Node(name="gpu2", address="10.0.0.2")]
    assert choose_node(RUN, nodes, None) == nodes[0]
    assert choose_node(RUN, nodes, "gpu2") == nodes[1]
    with pytest.raises(UsageError, match="--node gpu: k3f9 is on gpu1, gpu2"):
        choose_node(RUN, nodes, "gpu")


@pytest.mark.parametrize(
    ("state", "nodes", "stays"),
    [
        (State.RUNNING, "node2", True),
        # The scheduler does not answer: nothing is known to have changed.
        (State.UNKNOWN, None, True),
        (State.PENDING, None, False),
        (State.RUNNING, "node3", False),
    ],
)
def test_a_run_is_where_it_was_as_long_as_nothing_else_is_known(
    state: State, nodes: str | None, stays: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = replace(RUN, status=Status(state=state, node=nodes))
    monkeypatch.setattr(on_node, "refresh", lambda *_: [now])
    place = Place(run=RUN, task=None, node=Node(name="node2", address="10.0.0.2"), nodes="node2")
    assert on_node.is_still_there(cast(Session, None), cast(Host, None), place) is stays


def test_a_run_that_is_over_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    over = replace(RUN, status=Status(state=State.COMPLETED))
    monkeypatch.setattr(on_node, "refresh", lambda *_: [over])
    with pytest.raises(JobError, match=r"k3f9 is over \(COMPLETED\)"):
        on_node.look_where(cast(Session, None), cast(Host, None), RUN, None)


def test_a_program_is_started_on_the_node_of_the_task() -> None:
    place = Place(run=ARRAY, task=5, node=Node(name="node2", address="10.0.0.2"), nodes="node2")
    argv = place.command(["cat"])
    assert "12_5" in argv
    assert argv[-3:] == ["--nodelist=node2", "--unbuffered", "cat"]
