"""What a site's file says of its Dask cluster: the part `dask`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from slipway.checked import Between, Positive, form
from slipway.model import Model
from slipway.resources import Memory

Port = Annotated[int, Between(0, 65535)]
_Interface = Annotated[
    str | None, form(r"[A-Za-z0-9_.:-]{1,15}", "the name of a network interface, such as ib0")
]


@dataclass(frozen=True, kw_only=True)
class DaskOptions(Model):
    """How Dask's workers are started.

    Attributes:
        workers: on each host, or, where SLURM starts them, jobs.
        threads: of each worker; by default the host's cores are shared among its workers.
        memory: of each worker; by default the host's memory is shared among them.
        gpus: on each host; with several workers each has one of them.
        first_works: whether the first host has workers, too.
        port: the scheduler's; 0 is any that is free.
        dashboard: the dashboard's port on the first host.
        interface: the network that scheduler and workers talk over.
    """

    workers: Annotated[int, Between(1, 1024)] = 1
    threads: Positive | None = None
    memory: Memory = None
    gpus: Annotated[int, Between(0, 64)] = 0
    first_works: bool = True
    port: Port = 8786
    dashboard: Port = 8787
    interface: _Interface = None
