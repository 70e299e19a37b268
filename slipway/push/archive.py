"""An image for a site without Apptainer: an archive that an engine loads, or a file system for Enroot.

Where the engine has the image, its id is all that it needs. The archive is what ``docker save`` gives: layers
are not compressed, so that two versions of an image have most of their bytes in common, and rsync sends the
rest. It has the image without its names, since loading it would take them from what has them on the site.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import ConversionError, EngineError, ImageError
from slipway.image.engine import Image
from slipway.jsontext import load_json
from slipway.lock import only_one
from slipway.progress import Progress
from slipway.project import Project
from slipway.sif.file import read_sif
from slipway.sif.kept import Sif, sha256
from slipway.sif.store import SAVE_TIMEOUT_S
from slipway.workspace import check_space, workspace

if TYPE_CHECKING:
    from docker import DockerClient

_CHUNK = 1 << 20
_FOLDER = "archives"


def make_archive(
    client: DockerClient, image: Image, project: Project, progress: Progress, *, as_newest: bool = True
) -> tuple[Sif, bool]:
    """Save an image, unless that was done before.

    Args:
        client: the engine that has the image.
        image: the image.
        project: where the file is kept: ``archives/`` in its state folder.
        progress: is told what happens.
        as_newest: off for an older image: what is kept of newer ones stays.

    Returns:
        The file, and whether it was made now.

    Raises:
        SpaceError: there is not enough room for it.
        EngineError: the engine does not give out the image.
        ImageError: it is gone.
    """
    folder = project.state / _FOLDER
    path = folder / f"{image.name}-{_digest(image)}.tar"

    def wait() -> None:
        progress.step(f"Waiting for another command that saves {image.ref}")

    with only_one(project.state / "locks" / f"archive-{image.name.replace('/', '_')}", wait):
        there = _find(path, image.id)
        if there:
            return there, False
        check_space(project.state / "tmp", image.size_bytes, f"saving {image.ref}")
        with workspace(project.state / "tmp") as tmp:
            progress.step(f"Saving {image.ref} ({image.size_bytes / 1e6:.0f} MB)")
            part = tmp / path.name
            digest = _write(_save(client, image), part)
            folder.mkdir(parents=True, exist_ok=True)
            part.rename(path)
        made = _made(path, image, digest)
        _keep(made)
        if as_newest:
            _forget_older(made)
    return made, True


def make_reference(image: Image, project: Project) -> Sif:
    """A file with an image's id and nothing else, for a site whose engine has the image."""
    folder = project.state / _FOLDER
    path = folder / f"{image.name}-{_digest(image)}.id"
    folder.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{image.id}\n", encoding="utf-8")
    return _made(path, image, sha256(path))


def make_squashfs(sif: Sif, project: Project, progress: Progress, *, as_newest: bool = True) -> Sif:
    """The squashfs of a ``.sif`` as a file of its own, which is what Enroot takes.

    Raises:
        ConversionError: the ``.sif`` is damaged.
        SpaceError: there is not enough room for it.
    """
    digest = sif.image_id.removeprefix("sha256:")[:16]
    path = project.state / _FOLDER / f"{sif.name}-{digest}-{sif.compression}.sqsh"
    with only_one(project.state / "locks" / f"archive-{sif.name.replace('/', '_')}", lambda: None):
        if there := _find(path, sif.image_id):
            return there
        check_space(project.state / "tmp", sif.size_bytes, f"making {path.name}")
        progress.step(f"Taking the file system out of {sif.path.name}")
        with workspace(project.state / "tmp") as tmp:
            part = tmp / path.name
            digest = _write(_read_squashfs(sif.path), part)
            path.parent.mkdir(parents=True, exist_ok=True)
            part.rename(path)
        made = replace(sif, path=path, sha256=digest, size_bytes=path.stat().st_size)
        _keep(made)
        if as_newest:
            _forget_older(made)
    return made


def _read_squashfs(path: Path) -> Iterator[bytes]:
    try:
        content = read_sif(path)
    except ValueError as error:
        raise ConversionError(f"{path}: {error}; remove it, and give the same command again") from error
    left = content.size_bytes
    with path.open("rb") as file:
        file.seek(content.offset)
        while left > 0 and (chunk := file.read(min(left, _CHUNK))):
            left -= len(chunk)
            yield chunk


def find_archive(project: Project, sha256: str) -> Sif | None:
    """The archive of this hash, where it is still kept."""
    for record in sorted((project.state / _FOLDER).glob("*.json")):
        try:
            content = load_json(record.read_bytes())
            found = _find(record.with_suffix(""), content["image_id"])
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if found is not None and found.sha256 == sha256:
            return found
    return None


def _digest(image: Image) -> str:
    return image.id.removeprefix("sha256:")[:16]


def _made(path: Path, image: Image, digest: str) -> Sif:
    size_bytes = path.stat().st_size
    return Sif(
        path=path,
        name=image.name,
        image_id=image.id,
        sha256=digest,
        size_bytes=size_bytes,
        compression="none",
    )


def _save(client: DockerClient, image: Image) -> Iterable[bytes]:
    import docker.errors
    import requests
    import urllib3

    api: Any = client.api
    usual = api.timeout
    try:
        api.timeout = SAVE_TIMEOUT_S
        # By its id: then the archive has no name in it.
        yield from client.images.get(image.id).save(chunk_size=_CHUNK, named=False)
    except docker.errors.NotFound as error:
        raise ImageError(
            f"{image.ref} was removed from the engine or built anew just now; give the same command again"
        ) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, docker.errors.APIError) as error:
        raise EngineError(
            f"the Docker engine did not give out {image.ref}: "
            f"{getattr(error, 'explanation', None) or error}; is it still running, and is there room on its "
            "disk?"
        ) from error
    finally:
        api.timeout = usual


def _write(chunks: Iterable[bytes], path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("wb") as file:
        for chunk in chunks:
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def _record(path: Path) -> Path:
    return path.with_name(f"{path.name}.json")


def _stamp(path: Path) -> list[int]:
    status = path.stat()
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _keep(made: Sif) -> None:
    record = {**asdict(made), "path": made.path.name, "stamp": _stamp(made.path)}
    part = made.path.with_name(f"{made.path.name}.json.part")
    part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    part.replace(_record(made.path))


def _find(path: Path, image_id: str) -> Sif | None:
    try:
        record = load_json(_record(path).read_bytes())
        stamp = record.pop("stamp")
        found = Sif(**{**record, "path": path, "holes": ()})
        # A name in a record leads to no other place.
        if not path.name.startswith(f"{found.name}-") or found.image_id != image_id:
            return None
        if stamp != _stamp(path) and sha256(path) != found.sha256:
            return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return None
    return found


def _forget_older(newest: Sif) -> None:
    # As of a .sif: of each name only the newest stays.
    for record in newest.path.parent.glob(f"*{newest.path.suffix}.json"):
        try:
            content = load_json(record.read_bytes())
            same = (content["name"], content["compression"]) == (newest.name, newest.compression)
        except (OSError, ValueError, KeyError, TypeError):
            continue
        if same and record != _record(newest.path):
            record.with_suffix("").unlink(missing_ok=True)
            record.unlink(missing_ok=True)
