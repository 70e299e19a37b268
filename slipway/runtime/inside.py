"""No container: the job runs in its image already, as where the scheduler itself starts images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from slipway.runtime.base import REFERENCE, Form, Image, Wanted


@dataclass(frozen=True)
class Inside:
    """See :class:`slipway.runtime.base.Runtime`; its block makes links where others mount."""

    program: ClassVar[str] = ""
    blocks: ClassVar[Mapping[str, str]] = {"runtime": "inside"}
    parts: ClassVar[frozenset[str]] = frozenset({"image_file", "own_process"})
    form: ClassVar[Form] = REFERENCE
    binds_packed: ClassVar[bool] = False

    def command(self, wanted: Wanted) -> list[str]:
        """The folders that the program sees, as ``SOURCE=TARGET``, in the place of an argv."""
        return [f"{mount.source}={mount.target}" for mount in wanted.mounts]

    def settings(self, wanted: Wanted, image: Image) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.settings`."""
        return []

    def try_lines(self, command: str, inside: str, *, gpus: bool) -> str:
        """See :meth:`slipway.runtime.base.Runtime.try_lines`; nothing is started here."""
        return f"exec /bin/sh -c {inside}"

    def guards_image(self, flags: Sequence[str], *, packed: bool) -> bool:
        """See :meth:`slipway.runtime.base.Runtime.guards_image`: no process serves it."""
        return False
