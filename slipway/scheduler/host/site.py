"""What the file of a site without a scheduler says."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from slipway.site import THIS_MACHINE, Login, Site


class HostSite(Site):
    """One machine, which runs jobs from a queue of the user's own. Without ``login`` it is this one."""

    scheduler: Literal["host"] = "host"
    login: Login = Login(host=THIS_MACHINE)
    # How many jobs run at once; without it as many as there are GPUs, and one where there is none.
    places: int | None = Field(default=None, ge=1, le=10_000)

    @property
    def runs_where_it_logs_in(self) -> bool:
        """See :class:`slipway.site.Site`."""
        return True
