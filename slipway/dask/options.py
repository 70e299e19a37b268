"""What a site's file says of its Dask cluster: the part `dask`."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from slipway.resources import Memory
from slipway.validation import form

Port = Annotated[int, Field(ge=0, le=65535)]
_Interface = Annotated[
    str | None, form(r"[A-Za-z0-9_.:-]{1,15}", "the name of a network interface, such as ib0")
]


class DaskOptions(BaseModel):
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

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    workers: int = Field(default=1, ge=1, le=1024)
    threads: int | None = Field(default=None, ge=1)
    memory: Memory = None
    gpus: int = Field(default=0, ge=0, le=64)
    first_works: bool = True
    port: Port = 8786
    dashboard: Port = 8787
    interface: _Interface = None
