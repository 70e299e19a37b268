"""Enroot, by itself: the squashfs of a ``.sif`` as a file of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from slipway.runtime.base import SQSH, Form, Image, Mount, Wanted


class Enroot:
    """See :class:`slipway.runtime.base.Runtime`.

    The container has the job's own user, processes and cgroup, as with Apptainer. The options are those of
    ``enroot start`` (https://github.com/NVIDIA/enroot/blob/main/doc/cmd/start.md).
    """

    program: ClassVar[str] = "enroot"
    blocks: ClassVar[Mapping[str, str]] = {"runtime": "enroot"}
    parts: ClassVar[frozenset[str]] = frozenset({"image_file", "own_process"})
    form: ClassVar[Form] = SQSH
    binds_packed: ClassVar[bool] = False

    def command(self, wanted: Wanted) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.command`."""
        mounts = [*map(_mount, wanted.mounts), *wanted.binds]
        return [
            "enroot",
            "start",
            # What is not mounted is read-only, but for /tmp, which is the container's own.
            *([] if wanted.home else ["--env", "HOME=/tmp"]),
            *wanted.flags,
            *(word for mount in mounts for word in ("--mount", mount)),
        ]

    def settings(self, wanted: Wanted, image: Image) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.settings`."""
        return [
            f"with_gpus={'yes' if wanted.gpus else ''}",
            f"with_home={'yes' if wanted.home else ''}",
        ]

    def try_lines(self, command: str, inside: str, *, gpus: bool) -> str:
        """See :meth:`slipway.runtime.base.Runtime.try_lines`."""
        devices = "all" if gpus else "void"
        return f"""export NVIDIA_VISIBLE_DEVICES={devices} NVIDIA_DRIVER_CAPABILITIES=compute,utility
exec {command} --mount "$here:/out:none:x-create=dir,rbind,rw" "$image" /bin/sh -c {inside}"""

    def guards_image(self, flags: Sequence[str], *, packed: bool) -> bool:
        """See :meth:`slipway.runtime.base.Runtime.guards_image`: ``squashfuse`` and ``fuse-overlayfs`` do."""
        return True


def _mount(mount: Mount) -> str:
    return f"{mount.source}:{mount.target}:none:x-create=dir,rbind,{'ro' if mount.read_only else 'rw'}"
