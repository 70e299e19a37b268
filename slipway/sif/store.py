"""Docker image to ``.sif``: made once for an image and a compression, checked, and kept with a record."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import ConversionError, EngineError, ImageError
from slipway.image.engine import Image, find_image, name_in_engine, run_container
from slipway.image.recipe import Recipe
from slipway.lock import only_one
from slipway.progress import Progress
from slipway.project import Project
from slipway.sif.by_layers import ByLayers, Made
from slipway.sif.check import compare
from slipway.sif.conversion import LABEL, Conversion, convert
from slipway.sif.file import read_sif
from slipway.sif.kept import (
    DamagedSifError,
    Sif,
    find_sif,
    has_layers,
    keep_made,
    kept_path,
    lock_path,
    make_whole,
)
from slipway.sif.layout import Layout, write_layout
from slipway.workspace import abandoned, check_space, workspace

if TYPE_CHECKING:
    from docker import DockerClient

    from slipway.profile import Profile

TOOLS_IMAGE = "slipway-apptainer"
# Layers, the unpacked image, and its squashfs, first by itself and then in the .sif: 2.7 times the image's
# size were measured for one that shrinks to a third. One that does not shrink at all would take four times.
SPACE_FACTOR = 3.5
# Its layers' squashfs, and the .sif, if that is written as a whole.
LAYERS_FACTOR = 2.0
HOLES_FACTOR = 1.1
# Engines before 25 write the whole archive to their own disk before they send its first byte.
SAVE_TIMEOUT_S = 1800
_CHUNK = 1 << 20


def tools_recipe(project: Project, profile: Profile) -> Recipe:
    """The recipe of the container that has Apptainer in it."""
    return Recipe(
        name=TOOLS_IMAGE,
        dockerfile=project.share / "singularity" / "Dockerfile",
        # Apptainer runs where the engine runs, so its image is for the engine's own processor.
        platform="",
        build_args={**profile.build_args, "BASE_IMAGE": profile.tools_base_image},
        ca_bundle=profile.ca_bundle,
    )


def make_sif(
    client: DockerClient,
    image: Image,
    project: Project,
    tools: Recipe,
    progress: Progress,
    *,
    compression: str = "zstd",
    as_newest: bool = True,
    whole: bool = True,
) -> tuple[Sif, bool]:
    """Convert an image, unless that was done before.

    Args:
        client: the engine that has the image.
        image: the image.
        project: where the file is kept: ``sif/`` in its state folder.
        tools: the container that has Apptainer; it is built where this machine has no Apptainer.
        progress: is told what happens, and what the user should know of the file.
        compression: of the squashfs in it: ``zstd``, or ``gzip`` for clusters that cannot read zstd.
        as_newest: off for an older image: what is kept of newer ones stays.
        whole: off where the file itself is not needed, but what is in it: it may have holes.

    Returns:
        The file, and whether it was made now.

    Raises:
        SpaceError: there is not enough room for it.
        EngineError: the engine does not give out the image.
        ConversionError: Apptainer failed, or what it made is not what the image was.
    """

    def wait() -> None:
        progress.step(f"Waiting for another conversion of {image.ref}")

    with only_one(lock_path(project, image.name), wait):
        there = find_sif(project, image, compression)
        if there and whole and there.holes:
            progress.step(f"Writing {there.path.name}")
            with suppress(DamagedSifError):
                return make_whole(project, there), False
        elif there:
            return there, False
        sweep(client, project, tools)
        # Only of the newest image all layers are kept.
        has_holes = as_newest and not whole
        if has_holes:
            with suppress(_NotTheImageError):
                return _new(client, image, project, tools, progress, compression, has_holes=True), True
        return _new(client, image, project, tools, progress, compression, as_newest=as_newest), True


class _NotTheImageError(ConversionError):
    """What was made has holes, and is not what the image was, or cannot be filled."""


def _new(
    client: DockerClient,
    image: Image,
    project: Project,
    tools: Recipe,
    progress: Progress,
    compression: str,
    *,
    as_newest: bool = True,
    has_holes: bool = False,
) -> Sif:
    # /tmp is often small or memory: an image is made beside the place where it is kept.
    with workspace(project.state / "tmp") as folder:
        part = folder / kept_path(project, image, compression).name
        layers = ByLayers(client, image, project, tools, progress, part, compression, has_holes=has_holes)
        made = _make(client, image, project, tools, progress, layers, has_holes=has_holes)
        try:
            check_made(_config(client, image), made.conversion, made.facts, progress, what="the Docker image")
        except ConversionError as error:
            # A program that looked into it may have read a hole.
            raise _NotTheImageError(str(error)) if made.holes else error from None
        if made.sha256 is None:
            progress.step("Hashing the .sif")
        # What its holes are filled with has to be there first.
        layers.keep(made, as_newest=as_newest)
        if not has_layers(project, compression, made.holes):
            # Another image's conversion has removed one, or has kept another file of it.
            raise _NotTheImageError(f"what was kept of the layers of {image.ref} has changed meanwhile")
        return keep_made(
            part,
            project,
            image,
            compression,
            known_sha256=made.sha256,
            as_newest=as_newest,
            holes=made.holes,
        )


def _make(
    client: DockerClient,
    image: Image,
    project: Project,
    tools: Recipe,
    progress: Progress,
    layers: ByLayers,
    *,
    has_holes: bool,
) -> Made:
    """Make the file in the cheapest way that works here."""
    tmp, what = project.state / "tmp", f"converting {image.ref}"
    if layers.can_do_without_archive:
        factor = HOLES_FACTOR if has_holes else LAYERS_FACTOR
        check_space(tmp, int(factor * image.size_bytes), what)
        if made := layers.make():
            return made
    check_space(tmp, int(SPACE_FACTOR * image.size_bytes), what)
    progress.step(f"Saving {image.ref} ({image.size_bytes / 1e6:.0f} MB)")
    layout = _save(client, image, layers.folder / "layout")
    if made := layers.make(layout):
        return made
    progress.note(
        f"{image.ref} could not be put together of its layers, and Apptainer converts all of it: "
        f"{layers.why_not}"
    )
    progress.step(f"Converting {image.ref} with Apptainer")
    whole = Conversion(sif=layers.sif, layout=layout, compression=layers.store.compression)
    return Made(conversion=whole, facts=convert(client, whole, project, tools, progress))


def _save(client: DockerClient, image: Image, folder: Path) -> Layout:
    import docker.errors
    import requests
    import urllib3

    api: Any = client.api
    usual = api.timeout
    try:
        api.timeout = SAVE_TIMEOUT_S
        found = client.images.get(image.id)
        name = name_in_engine(image.ref, found.tags)
        return write_layout(found.save(chunk_size=_CHUNK, named=name), folder)
    except (docker.errors.NotFound, docker.errors.InvalidArgument) as error:
        # The latter where the name belongs to another image by now.
        raise ImageError(
            f"{image.ref} was removed from the engine or built anew just now; give the same command again"
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise EngineError(
            f"the Docker engine did not give out {image.ref}: "
            f"{getattr(error, 'explanation', None) or error}; is it "
            "still running, and is there room on its disk?"
        ) from error
    finally:
        api.timeout = usual


def _config(client: DockerClient, image: Image) -> Mapping[str, Any]:
    # The engine's own words, and not the archive's, from which the .sif was made.
    config: Mapping[str, Any] = client.images.get(image.id).attrs["Config"]
    return config


def check_made(
    config: Mapping[str, Any],
    made: Conversion,
    facts: Mapping[str, Any],
    progress: Progress,
    *,
    what: str,
) -> None:
    """Compare a file with what it was made of, and tell what is to be known of it.

    Args:
        config: what it is to be, in the words of the engine's API.
        made: the file.
        facts: what Apptainer found in it.
        progress: is told what its user should know.
        what: the thing that it was made of, for a message.

    Raises:
        ConversionError: it is something else.
    """
    try:
        compression = read_sif(made.sif).compression
    except ValueError as error:
        raise ConversionError(f"Apptainer made no usable .sif of {made.sif.name}: {error}") from error
    findings = compare(config, facts)
    wrong = list(findings.mismatches)
    if compression != made.compression:
        wrong.append(f"it is compressed with {compression}, and not with {made.compression}")
    if wrong:
        raise ConversionError(
            f"{made.sif.name} is not what {what} says, and was thrown away:"
            + "".join(f"\n  {line}" for line in wrong)
        )
    for note in findings.notes:
        progress.note(note)


def sweep(client: DockerClient | None, project: Project, tools: Recipe) -> None:
    """Remove what killed conversions left: containers that still run, and folders.

    Without an engine, what other users of a namespace own in them stays.
    """
    parent = project.state / "tmp"
    if client is not None:
        _sweep_containers(client, parent, tools)
        return
    for folder in abandoned(parent):
        shutil.rmtree(folder, ignore_errors=True)


def _sweep_containers(client: DockerClient, parent: Path, tools: Recipe) -> None:
    from docker.errors import APIError

    for container in client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
        folder = Path(container.labels[LABEL])
        if folder.parent == parent and (not folder.exists() or folder in abandoned(parent)):
            # Another who sweeps may be about to remove it, too.
            with suppress(APIError):
                container.remove(force=True)
    left = abandoned(parent)
    for folder in left:
        shutil.rmtree(folder, ignore_errors=True)
    image = find_image(client, tools.name)
    if image and any(folder.exists() for folder in left):
        # Root of the container unpacked an image there, which an ordinary user cannot remove.
        names = [f"/left/{folder.name}" for folder in left]
        run_container(client, image, ["rm", "-rf", *names], mounts={parent: "/left"}, listen=lambda _: None)
