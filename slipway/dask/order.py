"""What a cluster's own process is told, as JSON. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from slipway.dask.options import DaskOptions
from slipway.quantity import mebibytes

# What dask-jobqueue calls its workers, with a number behind it.
_QUEUED = "worker"


@dataclass(frozen=True, kw_only=True)
class WorkerHost:
    """A host as the first one reaches it.

    Attributes:
        name: as the site's file has it.
        user: whom it is logged in to as.
        address: its name or address, and its port.
        cpus: its cores.
    """

    name: str
    user: str
    address: tuple[str, int]
    cpus: int


def render_order(
    cluster: str,
    python: PurePosixPath,
    hosts: Sequence[WorkerHost],
    options: DaskOptions,
    ready: Sequence[WorkerHost] | None = None,
) -> bytes:
    """The order for :mod:`slipway.dask.there.start`.

    Args:
        cluster: its id.
        python: what starts the image's Python, on each host.
        hosts: the first one is the scheduler's.
        options: what is asked for.
        ready: the hosts that get workers. Default: all, or all but the first.
    """
    wanted = hosts if options.first_works or len(hosts) == 1 else hosts[1:]
    chosen = [one for one in wanted if ready is None or one in ready]
    network = {"interface": options.interface} if options.interface else {}
    order = {
        "kind": "ssh",
        "cluster": cluster,
        "scheduler": _reached(hosts[0], str(python)),
        "scheduler_options": _scheduler_options(options),
        "worker_options": network,
        "workers": [
            _worker(host, index, python, options) for host in chosen for index in range(options.workers)
        ],
    }
    return json.dumps(order).encode()


@dataclass(frozen=True, kw_only=True)
class WorkerJobs:
    """Workers that are jobs of a queue.

    Attributes:
        threads: of each.
        memory: of each.
        directives: the options of their submission.
    """

    threads: int
    memory: str
    directives: Sequence[str]


def render_queue_order(
    cluster: str, folder: PurePosixPath, python: PurePosixPath, jobs: WorkerJobs, options: DaskOptions
) -> bytes:
    """The order where workers are jobs.

    Args:
        cluster: its id.
        folder: of the cluster.
        python: what starts the image's Python.
        jobs: what the workers are.
        options: what is asked for.
    """
    order = {
        "kind": "slurm",
        "cluster": cluster,
        "folder": str(folder),
        "name": _QUEUED,
        "python": str(python),
        "scheduler_options": _scheduler_options(options),
        "directives": list(jobs.directives),
        "job": {
            "cores": jobs.threads,
            "memory": f"{int(mebibytes(jobs.memory))}MiB",
            "log_directory": None,
            **({"interface": options.interface} if options.interface else {}),
        },
        "workers": [{"options": {"name": f"{_QUEUED}-{number}"}} for number in range(options.workers)],
    }
    return json.dumps(order).encode()


def _scheduler_options(options: DaskOptions) -> dict[str, Any]:
    network = {"interface": options.interface} if options.interface else {}
    return {"port": options.port, "dashboard_address": f":{options.dashboard}", **network}


def worker_names(host: str, count: int) -> list[str]:
    """What the workers of a host, or of a queue, are called."""
    return [host] if count == 1 else [f"{host}-{index}" for index in range(count)]


def _reached(host: WorkerHost, python: str) -> dict[str, Any]:
    address, port = host.address
    return {"address": address, "connect": {"port": port, "username": host.user}, "python": python}


def _worker(host: WorkerHost, index: int, python: PurePosixPath, options: DaskOptions) -> dict[str, Any]:
    return {
        **_reached(host, shown_python(python, index, options)),
        "options": {
            "name": worker_names(host.name, options.workers)[index],
            "nthreads": options.threads or max(1, host.cpus // options.workers),
            "memory_limit": _memory(options),
        },
    }


def shown_python(python: PurePosixPath, index: int, options: DaskOptions) -> str:
    """What starts one of a host's workers: with several, each has its part of the GPUs."""
    if not options.gpus or options.workers == 1:
        return str(python)
    each = max(1, options.gpus // options.workers)
    first = (index * each) % options.gpus
    return f"env CUDA_VISIBLE_DEVICES={','.join(map(str, range(first, first + each)))} {python}"


def _memory(options: DaskOptions) -> str | float:
    # Dask's own "auto" gives a worker with few threads no more than so many cores' part.
    return 1 / options.workers if options.memory is None else f"{int(mebibytes(options.memory))}MiB"


def read_names(order: Mapping[str, Any]) -> list[str]:
    """The names of all workers of an order."""
    return [one["options"]["name"] for one in order["workers"]]
