"""Apptainer, and Singularity before it: a ``.sif``, and the user's own process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar

from slipway.runtime.base import SIF, Form, Image, Mount, Wanted


@dataclass(frozen=True)
class Apptainer:
    """See :class:`slipway.runtime.base.Runtime`."""

    program: str
    blocks: ClassVar[Mapping[str, str]] = {"runtime": "apptainer"}
    parts: ClassVar[frozenset[str]] = frozenset({"image_file", "own_process"})
    form: ClassVar[Form] = SIF
    binds_packed: ClassVar[bool] = True

    def command(self, wanted: Wanted) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.command`."""
        binds = [*map(_bind, wanted.mounts), *wanted.binds]
        return [
            self.program,
            "exec",
            "--cleanenv",
            *([] if wanted.home else ["--no-home"]),
            "--pwd",
            "/code",
            *(["--nv"] if wanted.gpus else []),
            *wanted.flags,
            *(word for bind in binds for word in ("--bind", bind)),
        ]

    def settings(self, wanted: Wanted, image: Image) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.settings`."""
        return []

    def try_lines(self, command: str, inside: str, *, gpus: bool) -> str:
        """See :meth:`slipway.runtime.base.Runtime.try_lines`."""
        return f'exec {command} --bind "$here:/out" "$image" /bin/sh -c {inside}'

    def guards_image(self, flags: Sequence[str], *, packed: bool) -> bool:
        """See :meth:`slipway.runtime.base.Runtime.guards_image`."""
        # An image that is unpacked first is served by no process.
        return packed or "--unsquash" not in flags


def _bind(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}" + (":ro" if mount.read_only else "")
