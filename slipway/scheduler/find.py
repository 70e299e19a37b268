"""The scheduler of a site, and the kind of site that it has, by its name; no other one is loaded."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from slipway.scheduler.base import Scheduler
    from slipway.scheduler.health import Health
    from slipway.site import Site

NAMES = ("slurm", "host", "pbs", "ngc")


@cache
def find_scheduler(name: str) -> Scheduler:
    """The scheduler of this name, as ``scheduler`` in a site's file has it.

    Raises:
        KeyError: there is none.
    """
    match name:
        case "slurm":
            from slipway.scheduler.slurm.scheduler import Slurm

            return Slurm()
        case "host":
            from slipway.scheduler.host.scheduler import HostQueue

            return HostQueue()
        case "pbs":
            from slipway.scheduler.pbs.scheduler import Pbs

            return Pbs()
        case "ngc":
            from slipway.scheduler.ngc.scheduler import Ngc

            return Ngc()
    raise KeyError(name)


@cache
def find_health(name: str) -> Health:
    """What the scheduler of this name is asked to see whether it works.

    Raises:
        KeyError: there is none.
    """
    match name:
        case "slurm":
            from slipway.scheduler.slurm.health import SlurmHealth

            return SlurmHealth()
        case "host":
            from slipway.scheduler.host.health import HostHealth

            return HostHealth()
        case "pbs":
            from slipway.scheduler.pbs.health import PbsHealth

            return PbsHealth()
        case "ngc":
            from slipway.scheduler.ngc.health import NgcHealth

            return NgcHealth()
    raise KeyError(name)


@cache
def find_site_kind(name: str) -> type[Site]:
    """The kind of site that the scheduler of this name has.

    Raises:
        KeyError: there is none.
    """
    match name:
        case "slurm":
            from slipway.scheduler.slurm.site import SlurmSite

            return SlurmSite
        case "host":
            from slipway.scheduler.host.site import HostSite

            return HostSite
        case "pbs":
            from slipway.scheduler.pbs.site import PbsSite

            return PbsSite
        case "ngc":
            from slipway.scheduler.ngc.site import NgcSite

            return NgcSite
    raise KeyError(name)
