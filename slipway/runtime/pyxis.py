"""Pyxis, a plugin of SLURM: ``srun`` starts a step of the job in an image, by Enroot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from slipway.runtime.base import SQSH, Form, Image, Mount, Wanted


class Pyxis:
    """See :class:`slipway.runtime.base.Runtime`.

    The options are those that Pyxis adds to ``srun`` (https://github.com/NVIDIA/pyxis, ``args.c``).
    """

    program: ClassVar[str] = "srun"
    blocks: ClassVar[Mapping[str, str]] = {"runtime": "pyxis"}
    parts: ClassVar[frozenset[str]] = frozenset({"image_file"})
    form: ClassVar[Form] = SQSH
    binds_packed: ClassVar[bool] = False

    def command(self, wanted: Wanted) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.command`; the job's script adds mounts to the last word."""
        return [
            "srun",
            "--nodes=1",
            "--ntasks=1",
            "--ntasks-per-node=1",
            # On several nodes this is a step within a step, which has the processors.
            "--overlap",
            "--export=ALL",
            "--no-container-entrypoint",
            "--no-container-remap-root",
            "--container-readonly",
            "--container-mount-home" if wanted.home else "--no-container-mount-home",
            *wanted.flags,
            "--container-mounts=" + ",".join([*map(_mount, wanted.mounts), *wanted.binds]),
        ]

    def settings(self, wanted: Wanted, image: Image) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.settings`."""
        return []

    def try_lines(self, command: str, inside: str, *, gpus: bool) -> str:
        """See :meth:`slipway.runtime.base.Runtime.try_lines`."""
        return f'exec {command},"$here":/out:rw "--container-image=$image" /bin/sh -c {inside}'

    def guards_image(self, flags: Sequence[str], *, packed: bool) -> bool:
        """See :meth:`slipway.runtime.base.Runtime.guards_image`: what serves it is SLURM's affair."""
        return False


def _mount(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}:{'ro' if mount.read_only else 'rw'}"
