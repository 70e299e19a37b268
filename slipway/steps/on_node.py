"""The node that a run is on, for what goes on there beside it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

from slipway.errors import JobError, UsageError
from slipway.host.host import Host
from slipway.job.run import Run, Status
from slipway.job.watch import ASK_S
from slipway.scheduler.base import Node, State
from slipway.scheduler.find import find_scheduler
from slipway.steps.refresh import refresh
from slipway.steps.session import Session

_FIRST_S = 1.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a run, or a task of an array, is running.

    Attributes:
        run: the run.
        task: which task of it.
        node: the node that is meant.
        nodes: all of its nodes, as the scheduler writes them.
    """

    run: Run
    task: int | None
    node: Node
    nodes: str

    def command(self, argv: Sequence[str]) -> list[str]:
        """The argv, for the login node, that runs a program there with its bytes as they are."""
        assert self.run.job_id is not None  # noqa: S101 - it has begun
        scheduler = find_scheduler(self.run.scheduler)
        return scheduler.join(
            self.run.job_id, argv, task=self.run.array_task(self.task), node=self.node.name, unbuffered=True
        )


def choose_task(run: Run, task: int | None) -> int | None:
    """The task that is meant.

    Raises:
        UsageError: there is no such task, or there are several and none is named.
    """
    if task is None and len(run.tasks) > 1:
        raise UsageError(f"{run.shown} is an array: say which task with --task, such as {run.tasks[0]}")
    if task is not None and task not in run.task_indices:
        what = "has no such task" if run.task_indices else "is no array"
        raise UsageError(f"--task {task}: {run.shown} {what}")
    return run.tasks[0] if task is None else task


def status_of(run: Run, task: int | None) -> Status:
    """How a run, or a task of it, stands."""
    return run.status if task is None else run.task_statuses.get(task, run.status)


def require_alive(run: Run, status: Status) -> None:
    """Go on only where there is something to connect to.

    Raises:
        JobError: it is over.
    """
    if status.state.is_over:
        raise JobError(f"{run.shown} is over ({status.state.value}); there is nothing of it to connect to")


def choose_node(run: Run, nodes: Sequence[Node], name: str | None) -> Node:
    """The node that is meant of those that a run is on: the first, or the one of a name.

    Raises:
        UsageError: it is on no such node.
    """
    for node in nodes:
        if name in (None, node.name):
            return node
    raise UsageError(f"--node {name}: {run.shown} is on {', '.join(node.name for node in nodes)}")


def look_where(
    session: Session, host: Host, run: Run, task: int | None, node: str | None = None
) -> Place | None:
    """Where a run is running; ``None`` where it waits yet.

    Args:
        session: where its record is.
        host: the login node.
        run: the run.
        task: which task of an array.
        node: which of several nodes. Default: the first.

    Raises:
        JobError: it is over.
        UsageError: it is on no such node.
    """
    run, status = _look(session, host, run, task)
    if status.state is not State.RUNNING or not status.node:
        return None
    nodes = find_scheduler(run.scheduler).nodes(host, status.node)
    return Place(run=run, task=task, node=choose_node(run, nodes, node), nodes=status.node)


def is_still_there(session: Session, host: Host, place: Place) -> bool:
    """Whether a run is where it was; true, too, where the scheduler cannot be asked.

    Raises:
        JobError: it is over.
    """
    _, status = _look(session, host, place.run, place.task)
    return status.state is State.UNKNOWN or (status.state is State.RUNNING and status.node == place.nodes)


def _look(session: Session, host: Host, run: Run, task: int | None) -> tuple[Run, Status]:
    run = refresh(session, host, [run])[0]
    status = status_of(run, task)
    require_alive(run, status)
    return run, status


def wait_where(session: Session, host: Host, run: Run, task: int | None, node: str | None = None) -> Place:
    """Wait until a run is running, and say where; see :func:`look_where`.

    Raises:
        JobError: it is over.
        SshError: the connection was lost.
    """
    pause_s, said = _FIRST_S, False
    while (place := look_where(session, host, run, task, node)) is None:
        if not said:
            session.progress.step(f"Waiting for {run.shown} to begin")
            said = True
        time.sleep(pause_s)
        pause_s = min(1.5 * pause_s, ASK_S)
    return place
