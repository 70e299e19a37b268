"""What the file of a site with PBS says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from slipway.checked import Check, form
from slipway.scheduler.pbs.resources import PbsResources
from slipway.site import DEFAULTS, Site

# OpenPBS is the free form of PBS Professional.
Dialect = Literal["openpbs", "torque"]


def _check_own_defaults(value: PbsResources) -> None:
    if value.continue_after_limit:
        raise ValueError("continue_after_limit: PBS lets only its operators begin a job again (qrerun)")


@dataclass(frozen=True, kw_only=True)
class PbsSite(Site):
    """A cluster with PBS.

    ``account_option`` is the option of qsub that says who pays. ``gpu_request`` is the name of the resource
    by which GPUs are asked for, ``gpu_type`` that of the resource that says which. ``chunk`` is put behind
    what is asked of each node.
    """

    scheduler: Literal["pbs"] = "pbs"
    defaults: Annotated[PbsResources, DEFAULTS, Check(_check_own_defaults)] = PbsResources()
    dialect: Dialect = "openpbs"
    account_option: Literal["-A", "-P", "-W group_list"] = "-A"
    gpu_request: Annotated[str, form(r"[A-Za-z][\w-]*", "the name of a resource, such as ngpus, or none")] = (
        "ngpus"
    )
    gpu_type: Annotated[str | None, form(r"[A-Za-z][\w-]*", "the name of a resource, such as gpu_type")] = (
        None
    )
    chunk: Annotated[str, form(r"(:[\w.=@+-]+)*", "resources with : before each, such as :arch=linux")] = ""

    @property
    def asks_for_gpus(self) -> bool:
        """See :class:`slipway.site.Site`."""
        return self.gpu_request != "none"
