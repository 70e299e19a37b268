"""Docker: an archive of the image, which the engine of a node loads once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from slipway.runtime.base import ARCHIVE, Form, Image, Wanted
from slipway.runtime.engine import engine_settings, engine_words, try_engine_lines


class Docker:
    """See :class:`slipway.runtime.base.Runtime`.

    The container is the engine's, and not below the job's processes: it gets limits of its own.
    """

    program: ClassVar[str] = "docker"
    blocks: ClassVar[Mapping[str, str]] = {"runtime": "docker", "engine": "engine"}
    parts: ClassVar[frozenset[str]] = frozenset({"engine"})
    form: ClassVar[Form] = ARCHIVE
    binds_packed: ClassVar[bool] = False

    def command(self, wanted: Wanted) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.command`."""
        limit = wanted.memory_mib
        memory = [] if limit is None else [f"--memory={limit:.0f}m", f"--memory-swap={limit:.0f}m"]
        return ["docker", "run", *memory, *engine_words(wanted)]

    def settings(self, wanted: Wanted, image: Image) -> list[str]:
        """See :meth:`slipway.runtime.base.Runtime.settings`."""
        return engine_settings("docker", wanted, image)

    def try_lines(self, command: str, inside: str, *, gpus: bool) -> str:
        """See :meth:`slipway.runtime.base.Runtime.try_lines`."""
        user = (
            '--user "$(docker info 2>/dev/null | grep -q rootless && echo 0:0 || echo "$(id -u):$(id -g)")"'
        )
        more = f"{user} --gpus all" if gpus else user
        return try_engine_lines("docker", command, inside, more)

    def guards_image(self, flags: Sequence[str], *, packed: bool) -> bool:
        """See :meth:`slipway.runtime.base.Runtime.guards_image`."""
        return False
