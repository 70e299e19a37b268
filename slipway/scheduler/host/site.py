"""What the file of a site without a scheduler says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from slipway.checked import Between
from slipway.site import THIS_MACHINE, Login, Site


@dataclass(frozen=True, kw_only=True)
class HostSite(Site):
    """One machine, which runs jobs from a queue of the user's own. Without ``login`` it is this one."""

    scheduler: Literal["host"] = "host"
    login: Login = Login(host=THIS_MACHINE)
    # How many jobs run at once; without it as many as there are GPUs, and one where there is none.
    places: Annotated[int, Between(1, 10_000)] | None = None

    @property
    def runs_where_it_logs_in(self) -> bool:
        """See :class:`slipway.site.Site`."""
        return True
