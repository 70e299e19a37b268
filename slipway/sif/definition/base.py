"""The images that a definition file starts from: from a registry, a file, or Debian's packages."""

from __future__ import annotations

import json
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from slipway.builder import DEBOOTSTRAP, Base
from slipway.errors import ConfigError

# The folder of such files, beside the definition file.
FOLDER = "base"
# Apptainer fetches nothing without one; a profile's DEBIAN_MIRROR goes before it.
_MIRROR = "http://deb.debian.org/debian"


@dataclass(frozen=True, kw_only=True)
class BaseSource:
    """Where an image comes from.

    Attributes:
        header: what a definition file begins with for it.
        file: the file or folder that has it here; ``None`` where it is downloaded.
        name: of that in the folder of bases.
    """

    header: tuple[str, ...]
    file: Path | None = None
    name: str = ""

    @property
    def is_download(self) -> bool:
        """Whether it takes a network."""
        return self.file is None


def find_bases(images: Iterable[str], given: Iterable[Base], mirror: str | None) -> dict[str, BaseSource]:
    """Where each image comes from; from its registry, unless the profile says something else.

    Args:
        images: as FROM names them.
        given: what the profile says of some of them.
        mirror: Debian's mirror, for suites.

    Raises:
        ConfigError: a file is not there, or is no image.
    """
    sources = {one.image: one.source for one in given}
    found: dict[str, BaseSource] = {}
    for image in dict.fromkeys(images):
        source = sources.get(image)
        if source is None:
            found[image] = BaseSource(header=("Bootstrap: docker", f"From: {image}"))
        elif source.startswith(DEBOOTSTRAP):
            suite = source.removeprefix(DEBOOTSTRAP)
            found[image] = BaseSource(
                header=("Bootstrap: debootstrap", f"OSVersion: {suite}", f"MirrorURL: {mirror or _MIRROR}")
            )
        else:
            name = f"{FOLDER}/{len(found)}"
            kind = _kind(Path(source), image)
            found[image] = BaseSource(
                header=(f"Bootstrap: {kind}", f"From: {name}"), file=Path(source), name=name
            )
    return found


def _kind(path: Path, image: str) -> str:
    """What Apptainer calls a file of an image."""
    if path.is_dir():
        if (path / "oci-layout").is_file():
            return "oci"
        raise ConfigError(f"BASES: {path}, which is to be {image}, is a folder, and no OCI layout")
    try:
        with path.open("rb") as file:
            head = file.read(64)
        if b"SIF_MAGIC" in head:
            return "localimage"
        with tarfile.open(path) as archive:
            names = _first_names(archive)
    except OSError as error:
        raise ConfigError(
            f"BASES: {path}, which is to be {image}, cannot be read: {error.strerror}"
        ) from error
    except (tarfile.TarError, EOFError, json.JSONDecodeError) as error:
        raise ConfigError(
            f"BASES: {path}, which is to be {image}, is neither a .sif nor an archive, as `docker save` and "
            "`skopeo copy` write them"
        ) from error
    if "manifest.json" in names:
        return "docker-archive"
    if "oci-layout" in names:
        return "oci-archive"
    raise ConfigError(f"BASES: {path}, which is to be {image}, is an archive of something else than an image")


def _first_names(archive: tarfile.TarFile) -> set[str]:
    return {name.removeprefix("./") for name in archive.getnames()}
