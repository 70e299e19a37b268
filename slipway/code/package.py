"""What of a tree of code is to be sent: a copy of it, as one archive."""

from __future__ import annotations

import errno
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

from slipway.code.listing import show
from slipway.code.tree import Entry, Tree
from slipway.errors import HostError, SpaceError

_IN_MEMORY_BYTES = 16_000_000

# Hands over the content of a file.
Read = Callable[[str, Callable[[bytes], object]], None]


@dataclass(frozen=True, kw_only=True)
class Package:
    """How a tree is made there.

    Attributes:
        base: the tree to begin with; ``None`` for an empty folder.
        gone: what of it is removed.
        archive: a tar archive of what is then put there.
        files: how many files, links and empty folders are in the archive.
        size_bytes: of the archive.
    """

    base: Tree | None
    gone: tuple[str, ...]
    archive: BinaryIO
    files: int
    size_bytes: int


def pack(
    tree: Tree, statuses: Mapping[str, os.stat_result], read: Read, workspace: Path, base: Tree | None
) -> Package:
    """Copy what of a tree another has not.

    Args:
        tree: the tree.
        statuses: what ``lstat`` says of each of its entries.
        read: reads one of its files.
        workspace: where the copy is made, if it is large.
        base: the other; ``None`` for an empty folder.

    Raises:
        HostError: the copy cannot be written.
        SpaceError: there is no room for it.
    """
    names = list(tree.entries) if base is None else tree.changed(base)
    with _explained(workspace):
        workspace.mkdir(parents=True, exist_ok=True)
        # Closed by whoever has it.
        archive = _open_archive(workspace, sum(statuses[name].st_size for name in names))
        try:
            _write(archive, tree, names, statuses, read)
        except BaseException:
            archive.close()
            raise
        size_bytes = archive.tell()
        archive.seek(0)
    return Package(
        base=base,
        gone=() if base is None else tuple(tree.gone(base)),
        archive=archive,
        files=len(names),
        size_bytes=size_bytes,
    )


def _open_archive(workspace: Path, size_bytes: int) -> BinaryIO:
    if size_bytes <= _IN_MEMORY_BYTES:
        return io.BytesIO()
    return cast(BinaryIO, tempfile.TemporaryFile(prefix="code-", dir=workspace))


def pack_files(files: Mapping[str, bytes]) -> bytes:
    """A tar archive of small files that only their owner writes, in this order."""
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            # A scratch may be cleared of what is old.
            member.size, member.mtime = len(content), int(time.time())
            tar.addfile(member, io.BytesIO(content))
    return archive.getvalue()


def _write(
    archive: BinaryIO, tree: Tree, names: list[str], statuses: Mapping[str, os.stat_result], read: Read
) -> None:
    with tarfile.open(fileobj=archive, mode="w", format=tarfile.GNU_FORMAT, encoding="utf-8") as tar:
        for name in names:
            entry = tree.entries[name]
            member = _member(name, entry, statuses[name])
            tar.addfile(member)
            if entry.is_file:
                read(name, archive.write)
                archive.write(b"\0" * (-member.size % tarfile.BLOCKSIZE))
                tar.offset = archive.tell()


def _member(name: str, entry: Entry, status: os.stat_result) -> tarfile.TarInfo:
    # tar writes names in UTF-8, and gives back the bytes of those that are not.
    member = tarfile.TarInfo(os.fsencode(name).decode("utf-8", "surrogateescape"))
    member.mtime = int(status.st_mtime)
    member.mode = 0o755 if entry.kind in ("program", "folder") else 0o644
    if entry.is_file:
        member.size = status.st_size
    elif entry.kind == "folder":
        member.type = tarfile.DIRTYPE
    else:
        member.type = tarfile.SYMTYPE
        member.linkname = os.fsencode(entry.value).decode("utf-8", "surrogateescape")
    return member


@contextmanager
def _explained(workspace: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, (FileNotFoundError, NotADirectoryError)):
            raise
        where = show(str(workspace))
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SpaceError(
                f"there is no room for a copy of the code at {where}: {error.strerror}; make some"
            ) from error
        raise HostError(f"the code cannot be copied to {where}: {error.strerror}") from error
