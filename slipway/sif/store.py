"""Docker image to ``.sif``: made once for an image and a compression, checked, and kept with a record."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import ConversionError, EngineError, ImageError
from slipway.image.engine import Image, find_image, run_container
from slipway.image.recipe import Recipe
from slipway.jsontext import load_json
from slipway.lock import only_one
from slipway.progress import Progress
from slipway.project import Project
from slipway.sif.check import compare
from slipway.sif.conversion import LABEL, Conversion, convert
from slipway.sif.file import read_sif
from slipway.sif.layout import Layout, write_layout
from slipway.workspace import abandoned, check_space, workspace

if TYPE_CHECKING:
    from docker import DockerClient

    from slipway.profile import Profile

TOOLS_IMAGE = "slipway-apptainer"
COMPRESSIONS = ("zstd", "gzip")
# Layers, the unpacked image, and its squashfs, first by itself and then in the .sif: 2.7 times the image's
# size were measured for one that shrinks to a third. One that does not shrink at all would take four times.
SPACE_FACTOR = 3.5
# Engines before 25 write the whole archive to their own disk before they send its first byte.
SAVE_TIMEOUT_S = 1800
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Sif:
    """A converted image; or an archive of one, for sites that have another container runtime.

    Attributes:
        path: the file.
        name: the Docker image's name.
        image_id: the id of the Docker image that it came from.
        sha256: of the file, in hex.
        size_bytes: of the file.
        compression: of the squashfs in it: ``zstd`` or ``gzip``; of an archive, ``none``.
    """

    path: Path
    name: str
    image_id: str
    sha256: str
    size_bytes: int
    compression: str = "zstd"

    @property
    def file_name(self) -> str:
        """The name that it has on clusters, which says what is in it."""
        return f"{self.name}-{self.sha256[:16]}{self.path.suffix}"


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


def find_sif(project: Project, image: Image, compression: str = "zstd") -> Sif | None:
    """What an earlier conversion of exactly this image left, or ``None``.

    The file is hashed only where its time or its place on the disk is not what it was when it was made.
    """
    path = _path(project, image, compression)
    try:
        record = load_json(_record(path).read_bytes())
        stamp = record.pop("stamp")
        sif = Sif(**{**record, "path": path})
        if not (isinstance(sif.sha256, str) and isinstance(sif.name, str)):
            return None
        if (sif.image_id, sif.compression) != (
            image.id,
            compression,
        ) or path.stat().st_size != sif.size_bytes:
            return None
        if stamp != _stamp(path):
            if sha256(path) != sif.sha256:
                return None
            _keep(sif)
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return sif


def find_by_hash(project: Project, sha256: str) -> Sif | None:
    """The file of this hash, where it is still kept."""
    for record in sorted((project.state / "sif").glob("*.json")):
        try:
            content = load_json(record.read_bytes())
            if content["sha256"] != sha256:
                continue
            image = Image(ref=f"{content['name']}:", id=content["image_id"], labels={}, size_bytes=0)
            found = find_sif(project, image, content["compression"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if found is not None and found.sha256 == sha256:
            return found
    return None


def make_sif(
    client: DockerClient,
    image: Image,
    project: Project,
    tools: Recipe,
    progress: Progress,
    *,
    compression: str = "zstd",
    as_newest: bool = True,
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

    Returns:
        The file, and whether it was made now.

    Raises:
        SpaceError: there is not enough room for it.
        EngineError: the engine does not give out the image.
        ConversionError: Apptainer failed, or what it made is not what the image was.
    """
    path = _path(project, image, compression)

    def wait() -> None:
        progress.step(f"Waiting for another conversion of {image.ref}")

    with only_one(project.state / "locks" / f"sif-{image.name.replace('/', '_')}", wait):
        there = find_sif(project, image, compression)
        if there:
            return there, False
        _sweep(client, project, tools)
        check_space(project.state / "tmp", int(SPACE_FACTOR * image.size_bytes), f"converting {image.ref}")
        # /tmp is often small or memory: an image is unpacked beside the place where it is kept.
        with workspace(project.state / "tmp") as folder:
            progress.step(f"Saving {image.ref} ({image.size_bytes / 1e6:.0f} MB)")
            layout = _save(client, image, folder / "layout")
            part = Conversion(layout=layout, sif=folder / path.name, compression=compression)
            progress.step(f"Converting {image.ref} with Apptainer")
            facts = convert(client, part, project, tools, progress)
            _check(_config(client, image), part, facts, progress)
            progress.step("Hashing the .sif")
            sif = Sif(
                path=path,
                name=image.name,
                image_id=image.id,
                sha256=sha256(part.sif),
                size_bytes=part.sif.stat().st_size,
                compression=compression,
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            part.sif.rename(path)
        _keep(sif)
        if as_newest:
            _forget_older(sif)
    return sif, True


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _path(project: Project, image: Image, compression: str) -> Path:
    digest = image.id.removeprefix("sha256:")[:16]
    return project.state / "sif" / f"{image.name}-{digest}-{compression}.sif"


def _record(path: Path) -> Path:
    return path.with_suffix(".json")


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _keep(sif: Sif) -> None:
    record = {**asdict(sif), "path": sif.path.name, "stamp": _stamp(sif.path)}
    part = sif.path.with_suffix(".json.part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(_record(sif.path))


def _save(client: DockerClient, image: Image, folder: Path) -> Layout:
    import docker.errors
    import requests
    import urllib3

    api: Any = client.api
    usual = api.timeout
    try:
        api.timeout = SAVE_TIMEOUT_S
        return write_layout(client.images.get(image.id).save(chunk_size=_CHUNK, named=image.ref), folder)
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


def _check(config: Mapping[str, Any], made: Conversion, facts: Mapping[str, Any], progress: Progress) -> None:
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
            f"{made.sif.name} is not what the Docker image is, and was thrown away:"
            + "".join(f"\n  {line}" for line in wrong)
        )
    for note in findings.notes:
        progress.note(note)


def _sweep(client: DockerClient, project: Project, tools: Recipe) -> None:
    """Remove what killed conversions left: containers that still run, and folders."""
    from docker.errors import APIError

    parent = project.state / "tmp"
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


def _forget_older(newest: Sif) -> None:
    # Research images have gigabytes: of each name and compression only the newest stays.
    for record in newest.path.parent.glob("*.json"):
        try:
            content = load_json(record.read_bytes())
            same = (content["name"], content.get("compression")) == (newest.name, newest.compression)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        # Before compressions were told apart, records said nothing of them.
        old = content["name"] == newest.name and "compression" not in content
        if record != _record(newest.path) and (same or old):
            record.with_suffix(".sif").unlink(missing_ok=True)
            record.unlink(missing_ok=True)
