"""Podman: an archive of the image, loaded once to the user's own storage on a node; no engine runs there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from slipway.runtime.base import ARCHIVE, Form, Image, Wanted
from slipway.runtime.engine import engine_settings, engine_words, try_engine_lines


class Podman:
    """See :class:`slipway.runtime.base.Runtime`.

    The container stays in the cgroup of the job: the scheduler's limits count for it.
    """

    program: ClassVar[str] = "podman"
    blocks: ClassVar[Mapping[str, str]] = {"runtime": "podman", "engine": "engine"}
    parts: ClassVar[frozenset[str]] = frozenset({"engine", "own_process"})
    form: ClassVar[Form] = ARCHIVE
    binds_packed: ClassVar[bool] = False

    def command(self, wanted: Wanted) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.command`."""
        return ["podman", "run", "--cgroups=disabled", *engine_words(wanted)]

    def settings(self, wanted: Wanted, image: Image) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.settings`."""
        return engine_settings("podman", wanted, image)

    def try_lines(self, command: str, inside: str, *, gpus: bool) -> str:
        """See :meth:`slipway.runtime.base.Runtime.try_lines`."""
        user = '--user "$(id -u):$(id -g)" $([ "$(id -u)" = 0 ] || echo --userns=keep-id)'
        more = f"{user} --device nvidia.com/gpu=all" if gpus else user
        return try_engine_lines("podman", command, inside, more)

    def guards_image(self, flags: Sequence[str], *, packed: bool) -> bool:
        """See :meth:`slipway.runtime.base.Runtime.guards_image`."""
        return False
