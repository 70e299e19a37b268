"""What the file of a site with SLURM says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import DEFAULTS, Site


@dataclass(frozen=True, kw_only=True)
class SlurmSite(Site):
    """A cluster with SLURM."""

    scheduler: Literal["slurm"] = "slurm"
    defaults: Annotated[SlurmResources, DEFAULTS] = SlurmResources()
    gpu_request: Literal["gres", "gpus", "none"] = "gres"

    @property
    def asks_for_gpus(self) -> bool:
        """See :class:`slipway.site.Site`."""
        return self.gpu_request != "none"
