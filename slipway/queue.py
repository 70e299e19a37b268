"""Partitions: what a site's file says of them, and requests that would never start there."""

from __future__ import annotations

from slipway.errors import JobError
from slipway.profile import nearest
from slipway.resources import Resources
from slipway.site import Queue, Site

_MEBIBYTES = {"K": 1 / 1024, "M": 1, "G": 1024, "T": 1024 * 1024}


def check_partition(wanted: Resources, site: Site) -> None:
    """Refuse a request that the site's file says would never start; SLURM would keep it waiting for ever.

    Raises:
        JobError: the partition is unknown, or it does not have what is asked for.
    """
    if not site.queues or wanted.partition is None:
        return
    queue = site.queues.get(wanted.partition)
    if queue is None:
        raise JobError(
            f"site {site.name} has no partition {wanted.partition!r}"
            f"{nearest(wanted.partition, site.queues)}; "
            f"cluster/{site.name}.yaml lists: {', '.join(site.queues)}"
        )
    problem = _problem(wanted, queue)
    if problem:
        raise JobError(
            f"{problem} that partition {wanted.partition} of {site.name} allows "
            f"(queues.{wanted.partition} in cluster/{site.name}.yaml); SLURM would keep the job "
            "waiting for ever"
        )
    _check_gpus(wanted, queue, site)


def minutes(time: str) -> float:
    """A wall time as SLURM writes it, in minutes (``man sbatch``, ``--time``).

    The forms are ``minutes``, ``minutes:seconds``, ``hours:minutes:seconds``, ``days-hours``,
    ``days-hours:minutes`` and ``days-hours:minutes:seconds``. Zero is no limit.
    """
    days, dash, rest = time.rpartition("-")
    parts = [int(part) for part in rest.split(":")]
    if dash:
        hours, mins, seconds = (*parts, 0, 0)[:3]
    elif len(parts) == 3:
        hours, mins, seconds = parts
    else:
        hours, mins, seconds = 0, parts[0], (parts[1] if len(parts) > 1 else 0)
    return int(days or 0) * 1440 + hours * 60 + mins + seconds / 60 or float("inf")


def mebibytes(memory: str) -> float:
    """Memory as SLURM writes it (``man sbatch``, ``--mem``), in MiB; a number alone is MiB."""
    unit = memory[-1].upper()
    return int(memory[:-1]) * _MEBIBYTES[unit] if unit in _MEBIBYTES else int(memory)


def _problem(wanted: Resources, queue: Queue) -> str | None:
    if queue.max_time and wanted.time and minutes(wanted.time) > minutes(queue.max_time):
        return f"time {wanted.time} is longer than the {queue.max_time}"
    if queue.max_nodes and (wanted.nodes or 1) > queue.max_nodes:
        return f"{wanted.nodes} nodes are more than the {queue.max_nodes}"
    if queue.max_cpus and (wanted.cpus or 1) > queue.max_cpus:
        return f"{wanted.cpus} cpus are more than the {queue.max_cpus} on a node"
    if queue.max_mem and wanted.mem and mebibytes(wanted.mem) > mebibytes(queue.max_mem):
        return f"mem {wanted.mem} is more than the {queue.max_mem} on a node"
    return None


def _check_gpus(wanted: Resources, queue: Queue, site: Site) -> None:
    if queue.max_gpus is None or not wanted.gpu_count:
        return
    there = queue.max_gpus
    of_type = max(there.values(), default=0) if wanted.gpu_type is None else there.get(wanted.gpu_type, 0)
    if wanted.gpu_count > of_type:
        has = ", ".join(f"{name}:{count}" for name, count in there.items()) or "none"
        raise JobError(
            f"gpus {wanted.gpus} are not on any node of partition {wanted.partition} of {site.name}, "
            f"which have at most: {has} (queues.{wanted.partition}.max_gpus in cluster/{site.name}.yaml)"
        )
