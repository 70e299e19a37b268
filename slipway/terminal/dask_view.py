"""A Dask cluster as a terminal shows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from slipway.dask.answer import WorkerState
from slipway.terminal.terminal import Terminal
from slipway.text.wording import counted, megabytes

if TYPE_CHECKING:
    from slipway.steps.dask import Standing
    from slipway.steps.dask_start import Started

_HEAD = ("worker", "address", "threads", "memory", "cpu", "tasks")
# Dask's words for what becomes of tasks, in the order of a task's life.
_STATES = ("no-worker", "queued", "waiting", "processing", "memory", "erred")


def show_started(screen: Terminal, started: Started) -> None:
    """Say that a cluster runs, and how to get at it."""
    name = started.site.name
    screen.say(f"Dask runs at {name}: {started.state.address}")
    screen.note(
        f"`invoke job --site {name} --engine dask -- PROGRAM` runs a program that finds it by Client(); "
        f"`invoke dask.status {name}` shows its workers"
    )
    if started.port:
        screen.note(f"`invoke tunnel {started.port} --site {name} --open` shows its dashboard")


def show_standing(screen: Terminal, site: str, standing: Standing) -> None:
    """Show the workers, those that are lost, and the tasks."""
    state = standing.state
    if standing.is_dead:
        screen.say(
            f"Dask's cluster at {site} is dead, its process is gone; `invoke dask.down {site}` ends the rest",
            "bold red",
        )
        return
    if not state.is_alive:
        screen.say(
            f"{site} has no Dask cluster" + (f"; the last one failed: {state.why}" if state.why else "")
        )
        return
    if state.silent or state.state == "starting":
        why = f"does not answer: {state.silent}" if state.silent else "is starting"
        screen.say(f"Dask's scheduler at {site} {why}")
        return
    _show_workers(screen, state.workers, standing.lost)
    for name, why in state.problems.items():
        screen.note(why if why.startswith(f"{name}:") else f"{name}: {why}")
    counts = [f"{state.tasks[one]} {one}" for one in _STATES if state.tasks.get(one)]
    screen.say(f"scheduler {state.address}  tasks: {', '.join(counts) or 'none'}")
    if state.dashboard:
        screen.note(f"`invoke tunnel {state.dashboard} --site {site} --open` shows the dashboard")


def _show_workers(screen: Terminal, workers: Sequence[WorkerState], lost: Sequence[str]) -> None:
    rows = [_row(worker) for worker in workers]
    gone = [(name, "lost", "", "", "", "") for name in lost]
    widths = [max(len(row[place]) for row in (_HEAD, *rows, *gone)) for place in range(len(_HEAD))]
    screen.row([(word, "bold") for word in _HEAD], widths)
    for row in rows:
        screen.row([(word, "") for word in row], widths)
    for row in gone:
        screen.row([(word, "bold red") for word in row], widths)
    if lost:
        screen.note(f"{counted(len(lost), 'worker')} of {len(workers) + len(lost)} lost")


def _row(worker: WorkerState) -> tuple[str, ...]:
    limit = f" of {megabytes(worker.limit_bytes)}" if worker.limit_bytes else ""
    return (
        worker.name,
        worker.address,
        str(worker.threads),
        f"{megabytes(worker.memory_bytes)}{limit}",
        f"{worker.cpu_percent:.0f} %",
        str(worker.tasks),
    )
