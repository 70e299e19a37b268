"""Files out of a profile's container, to a folder of this machine."""

from __future__ import annotations

import os
import secrets
import shutil
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import HostError, UsageError

if TYPE_CHECKING:
    from docker.models.containers import Container


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What was copied: where to, how many files, and their size."""

    folder: Path
    files: int
    size_bytes: int


def copy_folder(source: Path, folder: Path) -> Copied:
    """Copy a folder over another one; each file comes as a whole, links as links.

    Raises:
        HostError: something cannot be read or written.
    """
    files = size_bytes = 0
    folder.mkdir(parents=True, exist_ok=True)
    for place, folders, names in os.walk(source):
        target = folder / Path(place).relative_to(source)
        links = [name for name in folders if (Path(place) / name).is_symlink()]
        for name in folders:
            if name not in links:
                (target / name).mkdir(exist_ok=True)
        for name in (*names, *links):
            here = Path(place) / name
            if not (here.is_file() or here.is_symlink()):
                continue  # pipes and sockets
            files, size_bytes = files + 1, size_bytes + here.lstat().st_size
            _copy(here, target / name)
    return Copied(folder=folder, files=files, size_bytes=size_bytes)


def copy_out(container: Container, path: str, folder: Path) -> Copied:
    """Copy a file or folder of a container into a folder; it belongs to the caller.

    Raises:
        UsageError: the container has nothing there.
        HostError: something cannot be written.
    """
    import docker.errors

    try:
        chunks, _ = container.get_archive(path)
    except docker.errors.NotFound as error:
        raise UsageError(f"there is no {path} in the container") from error
    folder.mkdir(parents=True, exist_ok=True)
    files = size_bytes = 0
    try:
        with tarfile.open(fileobj=_Reader(chunks), mode="r|") as archive:  # type: ignore[call-overload]
            for member in archive:
                if member.isdev():
                    continue
                files, size_bytes = files + (not member.isdir()), size_bytes + member.size
                _extract(archive, member, folder)
    except tarfile.ReadError as error:
        raise HostError(f"the engine broke off while it gave out {path} of the container: {error}") from error
    return Copied(folder=folder, files=files, size_bytes=size_bytes)


def _extract(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path) -> None:
    try:
        archive.extract(member, folder, filter="data")
    except (tarfile.FilterError, OSError) as error:
        raise HostError(f"{member.name} of the container cannot be copied: {error}") from error


def _copy(here: Path, there: Path) -> None:
    part = there.with_name(f".{secrets.token_hex(4)}.part")
    try:
        shutil.copy2(here, part, follow_symlinks=False)
        part.replace(there)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise HostError(f"{here} cannot be copied to {there}: {error.strerror or error}") from error


class _Reader:
    """Pieces of bytes as a file that tarfile reads once."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks, self._rest = chunks, b""

    def read(self, size: int) -> bytes:
        while len(self._rest) < size and (chunk := next(self._chunks, b"")):
            self._rest += chunk
        content, self._rest = self._rest[:size], self._rest[size:]
        return content
