"""No container: the job runs in its image already, as where the scheduler itself starts images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from slipway.runtime.base import Wanted


@dataclass(frozen=True)
class Inside:
    """See :class:`slipway.runtime.base.Runtime`; its block makes links where others mount."""

    block: str = "inside"
    parts: frozenset[str] = frozenset()
    suffix: str = ".sif"

    def command(self, wanted: Wanted) -> list[str]:
        """The folders that the program sees, as ``SOURCE=TARGET``, in the place of an argv."""
        return [f"{mount.source}={mount.target}" for mount in wanted.mounts]

    def guards_image(self, flags: Sequence[str], *, packed: bool) -> bool:
        """See :meth:`slipway.runtime.base.Runtime.guards_image`: no process serves it."""
        return False
