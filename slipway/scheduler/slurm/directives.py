"""The options of sbatch that a job has."""

from __future__ import annotations

from pathlib import PurePosixPath

from slipway.errors import JobError
from slipway.quantity import minutes
from slipway.scheduler.slurm.resources import SlurmResources, named_partition
from slipway.scheduler.slurm.site import SlurmSite

# SLURM warns the script by this signal before the time limit; `B:` means the script, not its steps.
_WARNING = "B:USR1"


def directives(
    *,
    name: str,
    log: PurePosixPath,
    resources: SlurmResources,
    site: SlurmSite,
    shortest_minutes: int | None = None,
) -> list[str]:
    """The options of sbatch, in order.

    Args:
        name: the job's name.
        log: where SLURM's own words go. The script's output goes to a log of its own for each attempt.
        resources: what is asked for.
        site: how it wants GPUs asked for, and how long before its time limit a program is warned.
        shortest_minutes: where tasks share the job, the time of the shortest that may run at its end.

    Raises:
        JobError: one of the user's own contradicts how GPUs are asked for.
    """
    nodes = resources.nodes or 1
    options = [
        f"--job-name={name}",
        f"--output={log}",
        "--open-mode=append",
        "--requeue",
        f"--signal={_WARNING}@{_grace_s(resources, site, shortest_minutes)}",
        f"--nodes={nodes}",
        # The batch script runs on the first node, and srun starts the program once on each.
        "--ntasks=1" if nodes == 1 else "--ntasks-per-node=1",
    ]
    named = {
        "time": resources.time,
        "cpus-per-task": resources.cpus,
        "mem": resources.mem,
        "partition": named_partition(resources),
        "account": resources.account,
        "qos": resources.qos,
        "constraint": resources.constraint,
        "array": resources.array,
        "dependency": resources.dependency,
    }
    options += [f"--{key}={value}" for key, value in named.items() if value is not None]
    if resources.exclusive:
        options.append("--exclusive")
    if resources.dependency is not None:
        # Else a job whose condition can no longer come true would wait for ever.
        options.append("--kill-on-invalid-dep=yes")
    options += _gpu_options(resources, site)
    return [*options, *resources.sbatch]


def _grace_s(resources: SlurmResources, site: SlurmSite, shortest_minutes: int | None) -> int:
    """Seconds before the time limit at which the program is warned: never in the first half of its time."""
    limit_s = minutes(resources.time) * 60 if resources.time else float("inf")
    if shortest_minutes is not None:
        limit_s = min(limit_s, shortest_minutes * 60)
    return int(min(site.grace_s, limit_s / 2))


def _gpu_options(resources: SlurmResources, site: SlurmSite) -> list[str]:
    if not resources.gpu_count or site.gpu_request == "none":
        return []
    gpus = resources.gpus
    if site.gpu_request == "gpus":
        # This is for the whole job, and what is asked for is for each node.
        return [f"--gpus={gpus}" if (resources.nodes or 1) == 1 else f"--gpus-per-node={gpus}"]
    own = next((option for option in resources.sbatch if option.startswith("--gres=")), None)
    if own is not None:
        raise JobError(
            f"--sbatch {own} takes the place of --gres=gpu:{gpus}, by which {site.name} gets --gpus "
            f"{gpus} (gpu_request in {site.file}); write --gpus 0 and "
            f"--sbatch {own},gpu:{gpus}, or leave one of them out"
        )
    return [f"--gres=gpu:{gpus}"]
