"""The Docker engine, and the room where it keeps its images."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.doctor.check import Answer, Check, Facts, Place
from slipway.doctor.finding import Finding, failed, ok, refused, skipped, warning
from slipway.errors import HostError
from slipway.image.endpoint import find_endpoint
from slipway.image.engine import engine, is_podman, is_rootless
from slipway.sif.conversion import has_apptainer

if TYPE_CHECKING:
    from docker import DockerClient

_SO = "`invoke build` and `invoke push` would make no image; jobs with the images that a site has go on"
_LITTLE_BYTES, _HARDLY_ANY_BYTES = 20e9, 2e9


def _look_at_engine(facts: Facts, _: Answer) -> Finding:
    if facts.profile.is_built_by_apptainer and has_apptainer():
        return skipped(f"profile {facts.profile.name} needs none: Apptainer builds its image")
    try:
        client = engine()
    except HostError as error:
        return refused(error, so=_SO, fix="`docker info` says more")
    try:
        version = client.version()
        name = "Podman" if is_podman(client) else "Docker"
        mode = ", rootless" if is_rootless(client) else ""
    finally:
        client.close()
    place = find_endpoint().origin
    at = f", at {place}" if place else ""
    return ok(f"{name} {version.get('Version', '?')}, API {client.api.api_version}{mode}{at}")


def _look_at_disk(_: Facts, __: Answer) -> Finding:
    client = engine()
    try:
        return judge_disk(*_room(client))
    finally:
        client.close()


def _room(client: DockerClient) -> tuple[str, int | None]:
    """Where the engine keeps its data, and the free bytes there, where that is a disk of this machine."""
    folder = str(client.info().get("DockerRootDir") or "")
    is_here = str(client.api.base_url).startswith("http+docker://localhost") and Path(folder).is_dir()
    return folder, shutil.disk_usage(folder).free if folder and is_here else None


def judge_disk(folder: str, free_bytes: int | None) -> Finding:
    """What so much room is enough for."""
    if free_bytes is None:
        return skipped(f"the engine's data, {folder or 'wherever it is'}, is on no disk of this machine")
    seen = f"{free_bytes / 1e9:.1f} GB free in {folder}"
    fix = "`docker system prune` removes what no image and container needs; `docker system df` shows how much"
    if free_bytes < _HARDLY_ANY_BYTES:
        return failed(seen, so="`invoke build` would end with: no space left on device", fix=fix)
    if free_bytes < _LITTLE_BYTES:
        return warning(seen, so="a large image, such as one with CUDA, may not fit", fix=fix)
    return ok(seen)


CHECKS = (
    Check(
        name="docker",
        title="Docker",
        place=Place.HERE,
        about="The engine answers, lets this user in, and is new enough; its version.",
        predicts="`build` and `push` make no image.",
        look=_look_at_engine,
    ),
    Check(
        name="docker-disk",
        title="Docker's disk",
        place=Place.HERE,
        about="The room where the engine keeps its images.",
        predicts="`build` ends for lack of room.",
        look=_look_at_disk,
        needs=("docker",),
    ),
)
