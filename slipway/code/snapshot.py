"""Snapshots of the code folder: the tree of this moment, named by its content.

A tree is named by the first 32 hexadecimal digits of a SHA-256. It is taken over three fields for each entry,
each with a zero byte behind it, the entries in the order of their names' bytes:

- ``file``, ``program`` (a file that its owner may execute), ``link`` or ``folder`` (one that is empty)
- the name, relative to the code folder, as bytes
- the SHA-256 of a file's content in hexadecimal digits, a link's target as bytes, nothing for a folder

So it is the same on every machine, and stands for all that a job can see but times: a file's goes along, and
a tree that is on the cluster already keeps those that it was first sent with. Other modes are not kept: what
is sent is readable, and files are executable or not.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from slipway.code.checkout import find_checkout
from slipway.code.listing import Listing, list_folder, show
from slipway.code.size_limit import Bulk, describe_heaviest, weigh
from slipway.errors import DataError, HostError, SpaceError

_CHUNK_BYTES = 1 << 20
# Windows has no such links and pipes, but text files.
_OPEN = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
    _OPEN |= getattr(os, _flag, 0)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """A copy of the code folder.

    Attributes:
        folder: where the copy is.
        tree: the name of its content.
        files: how many files, links and empty folders it has.
        size_bytes: what its files have together.
        notes: what of the code folder is not in it and might be missed.
    """

    folder: Path
    tree: str
    files: int
    size_bytes: int
    notes: tuple[str, ...] = ()


class _ChangedError(Exception):
    """Something changed between two looks at it."""


@contextmanager
def take_snapshot(source: Path, workspace: Path, *, limit: Bulk | None = None) -> Iterator[Snapshot]:
    """Copy the code folder while its hash is computed, so that both are of the same moment.

    :func:`slipway.code.listing.list_folder` says what of it is sent. A file that changes while it is read, or
    goes away before, is noticed; then all is copied once more. The copy is removed afterwards.

    Args:
        source: the code folder.
        workspace: where the copy is made; if that is in the code folder, it is left out.
        limit: how much it may be.

    Raises:
        DataError: the folder does not exist, has nothing to send or too much, cannot be read, keeps changing.
        HostError: git is needed, and is not installed, or the copy cannot be written.
        SpaceError: there is no room for the copy.
    """
    if not source.is_dir():
        raise DataError(
            f"CODE_DIR is {source}, which is not a folder; name the folder of your code in the profile"
        )
    workspace.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=workspace, prefix="code-") as name:
        yield _take(source, Path(name), workspace, limit)


def _take(source: Path, folder: Path, workspace: Path, limit: Bulk | None) -> Snapshot:
    root = source.resolve()
    for attempt in ("first", "second"):
        try:
            listing = list_folder(root, without=workspace)
            _check(source, weigh(root, listing.names), limit)
            return _copy_all(root, folder / attempt, listing)
        except _ChangedError as error:
            changed = str(error)
        except (FileNotFoundError, NotADirectoryError) as error:
            changed = f"{show(str(error.filename))} went away"
    raise DataError(
        f"CODE_DIR changes while it is read, and did so again: {changed}. Submit again when what writes "
        "there is done, or leave it out with a .gitignore or .dockerignore"
    )


def _check(source: Path, bulks: Mapping[str, Bulk], limit: Bulk | None) -> None:
    docker = source / ".dockerignore"
    in_checkout = find_checkout(source) is not None
    if not bulks:
        ignored = " that git does not ignore" if in_checkout else ""
        raise DataError(
            f"CODE_DIR is {source}, which has no files{ignored}; name the folder of your code in the profile"
        )
    total = sum(bulks.values(), Bulk())
    if limit is None or total.is_within(limit):
        return
    most = "\n  ".join(describe_heaviest(bulks, limit))
    # Where there is no checkout, no .gitignore is read.
    files = f"a .gitignore or {docker}" if in_checkout else str(docker)
    raise DataError(
        f"CODE_DIR is {source}, which has {total}; CODE_LIMIT allows {limit}. Most of it is\n  {most}\n"
        f"Leave out with {files} what the program does not need, bring data to the cluster with "
        "`invoke stage`, or raise CODE_LIMIT in the profile"
    )


def _copy_all(root: Path, folder: Path, listing: Listing) -> Snapshot:
    digest = hashlib.sha256()
    size_bytes = 0
    for name in listing.names:
        kind, value, copied_bytes = _copy(root / name, folder / name)
        digest.update(b"".join(field + b"\0" for field in (kind, os.fsencode(name), value)))
        size_bytes += copied_bytes
    return Snapshot(
        folder=folder,
        tree=digest.hexdigest()[:32],
        files=len(listing.names),
        size_bytes=size_bytes,
        notes=listing.notes,
    )


def _copy(source: Path, target: Path) -> tuple[bytes, bytes, int]:
    """Copy a file, a link or an empty folder; returns the kind and value of its entry, and its size in bytes.

    Raises:
        _ChangedError: it changed meanwhile.
        FileNotFoundError: it is no longer there.
    """
    mode = source.lstat().st_mode
    with _writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        if stat.S_ISLNK(mode):
            link = os.readlink(source)  # noqa: PTH115 - a Path would tidy it up
            target.symlink_to(link)
            return b"link", os.fsencode(link), 0
        if stat.S_ISDIR(mode):
            target.mkdir()
            return b"folder", b"", 0
    return _copy_file(source, target)


def _copy_file(source: Path, target: Path) -> tuple[bytes, bytes, int]:
    with _open(source) as reader:
        before = os.fstat(reader.fileno())
        digest = hashlib.sha256()
        copied_bytes = 0
        with _writing(target), target.open("xb") as writer:
            # What grows as fast as it is read would never come to an end.
            while copied_bytes <= before.st_size and (chunk := _read(reader, source)):
                digest.update(chunk)
                writer.write(chunk)
                copied_bytes += len(chunk)
        after = os.fstat(reader.fileno())
    if _state(before) != _state(after) or copied_bytes != after.st_size:
        raise _ChangedError(f"{show(str(source))} changed")
    executable = bool(before.st_mode & stat.S_IXUSR)
    target.chmod(0o755 if executable else 0o644)
    os.utime(target, ns=(before.st_atime_ns, before.st_mtime_ns))
    return b"program" if executable else b"file", digest.hexdigest().encode(), copied_bytes


def _state(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_mode, status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _open(source: Path) -> BinaryIO:
    try:
        # Should it have become a link or a pipe by now, it is not to be followed or waited for.
        reader = os.fdopen(os.open(source, _OPEN), "rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _ChangedError(f"{show(str(source))} changed") from error
        raise _unreadable(source, error) from error
    if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
        reader.close()
        raise _ChangedError(f"{show(str(source))} changed")
    return reader


def _read(reader: BinaryIO, source: Path) -> bytes:
    try:
        return reader.read(_CHUNK_BYTES)
    except OSError as error:
        raise _unreadable(source, error) from error


def _unreadable(source: Path, error: OSError) -> DataError:
    return DataError(
        f"{show(str(source))} in CODE_DIR cannot be read: {error.strerror}; "
        "make it readable, or leave it out with a .gitignore or .dockerignore"
    )


@contextmanager
def _writing(target: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if isinstance(error, FileNotFoundError):
            raise
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise SpaceError(
                f"there is no room for a copy of the code at {show(str(target))}: {error.strerror}; make some"
            ) from error
        raise HostError(f"the code cannot be copied to {show(str(target))}: {error.strerror}") from error
