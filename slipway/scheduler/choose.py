"""Which scheduler a site has."""

from __future__ import annotations

from slipway.scheduler.base import Scheduler
from slipway.scheduler.slurm.scheduler import Slurm

_SCHEDULERS: dict[str, Scheduler] = {"slurm": Slurm()}


def find_scheduler(name: str) -> Scheduler:
    """The scheduler of this name, as ``scheduler`` in a site's file has it."""
    return _SCHEDULERS[name]
