"""What the file of a site with SLURM says."""

from __future__ import annotations

from typing import Literal

from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Site


class SlurmSite(Site):
    """A cluster with SLURM."""

    scheduler: Literal["slurm"] = "slurm"
    defaults: SlurmResources = SlurmResources()
    gpu_request: Literal["gres", "gpus", "none"] = "gres"

    @property
    def asks_for_gpus(self) -> bool:
        """See :class:`slipway.site.Site`."""
        return self.gpu_request != "none"
