"""What joins a running job in its container: ``cluster/join.sh`` and its arguments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from slipway.errors import ConfigError, JobError
from slipway.job.run import Run
from slipway.scheduler.base import State
from slipway.scheduler.find import find_scheduler

# Printed on both outputs before the command begins, where these are no terminal: what start files and the
# scheduler print stands before it.
MARK = "\nslipway-joined\n"


def join_command(
    run: Run,
    script: str,
    words: Sequence[str],
    *,
    task: int | None = None,
    node: str | None = None,
    terminal: bool = False,
) -> list[str]:
    """The argv, for the login node, that runs a command in the container of a running job.

    Args:
        run: the job's run.
        script: the text of ``cluster/join.sh``.
        words: the command; none for a shell.
        task: which task of an array.
        node: which of several nodes. Default: the first.
        terminal: whether it gets the terminal that this is started in. Else :data:`MARK` goes before what
            it prints.

    Raises:
        JobError: the scheduler has not accepted the run yet.
    """
    if run.job_id is None:
        raise JobError(f"{run.run_id} has no job yet; `invoke status {run.run_id}` asks for it")
    here = ["bash", "-c", script, "slipway-join"]
    argv = [*here, *script_arguments(run, "" if terminal else MARK), *words]
    return find_scheduler(run.scheduler).join(
        run.job_id, argv, task=run.array_task(task), node=node, terminal=terminal
    )


def script_arguments(run: Run, mark: str) -> list[str]:
    """The arguments of ``cluster/join.sh`` before the command.

    Args:
        run: the job's run.
        mark: what is printed on both outputs before the command begins.
    """
    # A second container is as the job's own script has it.
    return [run.run_id, run.run_dir, mark, "", ""]


def read_script(folder: Path) -> str:
    """The text of ``cluster/join.sh``, in the folder ``cluster/`` that comes with Slipway.

    Raises:
        ConfigError: it cannot be read.
    """
    try:
        return (folder / "join.sh").read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{folder}/join.sh cannot be read: {error}; put it back with git") from error


def check_joinable(run: Run, task: int | None) -> None:
    """Refuse a run that is over, or of which it is not known which task is meant.

    Args:
        run: the run as it stands now.
        task: which task of an array.

    Raises:
        JobError: it cannot be joined.
    """
    status = run.status if task is None else run.task_statuses.get(task, run.status)
    name = run.run_id if task is None else f"task {task} of {run.run_id}"
    if run.task_indices and task is None and not status.state.is_over:
        running = [number for number, one in run.task_statuses.items() if one.state is State.RUNNING]
        shown = ", ".join(map(str, sorted(running)[:10])) or "none now"
        raise JobError(f"{run.run_id} is an array; say which task with --task N. Running: {shown}")
    if task is not None and task not in run.task_indices:
        raise JobError(
            f"{run.run_id} has no task {task}"
            + ("" if run.task_indices else ": it is no array; leave --task out")
        )
    if status.state.is_over:
        raise JobError(f"{name} is over ({status.state}); only a job that runs can be joined")
    if any(len(lanes) > 1 for lanes in run.bundles.values()):
        raise JobError(
            f"{name} shares its job with others that run beside it (per_node), and there nobody can tell "
            "which program is whose; only one in a job of its own can be joined"
        )
