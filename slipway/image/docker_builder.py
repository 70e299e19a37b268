"""Which builder an engine's images are built by, and why."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.errors import HostError, ImageError
from slipway.image.buildkit import parse_version
from slipway.image.engine import is_podman
from slipway.image.features import find_features
from slipway.image.recipe import Recipe
from slipway.shell import LocalShell

if TYPE_CHECKING:
    from docker import DockerClient

_ASK_S = 20.0
_INSTALL = "Debian, Ubuntu: `sudo apt install docker-buildx`; with Docker's own packages docker-buildx-plugin"


@dataclass(frozen=True, kw_only=True)
class Builder:
    """What builds.

    Attributes:
        buildx: the version of ``docker buildx``; ``None`` where docker-py asks the engine itself.
        is_podman: the engine is Podman, whose builder knows what BuildKit's Dockerfiles have.
        why: where it is the classic builder, why.
    """

    buildx: tuple[int, int] | None = None
    is_podman: bool = False
    why: str = ""

    @property
    def is_classic(self) -> bool:
        """Whether it is Docker's classic builder, which has no mounts, no secrets and no here-documents."""
        return self.buildx is None and not self.is_podman

    def check(self, recipe: Recipe) -> None:
        """Refuse a Dockerfile that it cannot build.

        Raises:
            ImageError: it has something that the classic builder does not know.
        """
        found = find_features(recipe.text()) if self.is_classic else []
        if found:
            raise ImageError(
                f"{recipe.dockerfile}: {found[0]}: this needs BuildKit, and the image would be built by "
                f"Docker's classic builder, because {self.why}"
            )


def choose_builder(client: DockerClient, environment: Mapping[str, str] = os.environ) -> Builder:
    """BuildKit where the ``docker buildx`` command is there, else what docker-py can ask for.

    DOCKER_BUILDKIT=0 chooses the classic builder, as it does for ``docker build``.
    """
    if is_podman(client):
        return Builder(is_podman=True)
    if environment.get("DOCKER_BUILDKIT", "").lower() in ("0", "false"):
        return Builder(why="DOCKER_BUILDKIT is 0; unset it")
    if shutil.which("docker") is None:
        return Builder(why=f"there is no `docker` command here, which drives BuildKit. {_INSTALL}")
    try:
        asked = LocalShell().run(["docker", "buildx", "version"], timeout_s=_ASK_S)
    except HostError as error:
        return Builder(why=str(error))
    if not asked.ok:
        return Builder(why=f"`docker buildx`, which drives BuildKit, is not installed. {_INSTALL}")
    return Builder(buildx=parse_version(asked.stdout))
