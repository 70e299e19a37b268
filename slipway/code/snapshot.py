"""Snapshots of the code folder: the tree of this moment, named by its content.

A tree is named by the first 32 hexadecimal digits of a SHA-256. It is taken over three fields for each entry,
each with a zero byte behind it, the entries in the order of their names' bytes:

- ``file``, ``program`` (a file that its owner may execute), ``link`` or ``folder`` (one that is empty)
- the name, relative to the code folder, as bytes
- the SHA-256 of a file's content in hexadecimal digits, a link's target as bytes, nothing for a folder

So it is the same on every machine, and stands for all that a job can see but times: a file's goes along in
whole seconds, and a tree that is on the cluster already keeps those that it was first sent with. Other modes
are not kept: what is sent is readable, and files are executable or not.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from slipway.code.checkout import find_checkout
from slipway.code.listing import Listing, list_folder, show
from slipway.code.package import Package, pack
from slipway.code.size_limit import Bulk, describe_heaviest, size_of, weigh
from slipway.code.tree import Entry, Tree
from slipway.errors import DataError
from slipway.hash_cache import HashCache, Hashed, file_key

if TYPE_CHECKING:
    from typing_extensions import Self

_CHUNK_BYTES = 1 << 20
# Windows has no such links and pipes, but text files.
_OPEN = os.O_RDONLY
for _flag in ("O_NOFOLLOW", "O_NONBLOCK", "O_BINARY"):
    _OPEN |= getattr(os, _flag, 0)


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """The code folder of one moment.

    Attributes:
        source: the folder.
        tree: what is in it.
        size_bytes: what its files have together.
        package: a copy of what the tree has and ``package.base`` has not.
        notes: what of the code folder is not in it and might be missed.
    """

    source: Path
    tree: Tree
    size_bytes: int
    package: Package
    notes: tuple[str, ...] = ()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Remove the copy."""
        self.package.archive.close()


class _ChangedError(Exception):
    """Something changed between two looks at it."""


def take_snapshot(
    source: Path, state: Path, *, limit: Bulk | None = None, base: Tree | None = None
) -> Snapshot:
    """Hash the code folder, and copy what of it is to be sent, so that both are of the same moment.

    :func:`slipway.code.listing.list_folder` says what of it is sent. A file that looks as it did when it was
    hashed is not read again. A file that changes while it is read, or goes away before, is noticed; then all
    is done once more. The copy is removed at the end of the snapshot's `with`.

    Args:
        source: the code folder.
        state: Slipway's state folder, for hashes and the copy; if it is in the code folder, it is left out.
        limit: how much it may be.
        base: a tree that is there already; what it has need not be sent.

    Raises:
        DataError: the folder does not exist, has nothing to send or too much, cannot be read, keeps changing.
        HostError: git is needed, and is not installed, or the copy cannot be written.
        SpaceError: there is no room for the copy.
    """
    if not source.is_dir():
        raise DataError(
            f"CODE_DIR is {source}, which is not a folder; name the folder of your code in the profile"
        )
    root = source.resolve()
    for _attempt in range(2):
        try:
            listing = list_folder(root, without=state)
            # A Path for each of many names takes longer than to look at the file.
            statuses = {name: os.lstat(f"{root}/{name}") for name in listing.names}
            _check(source, statuses, limit)
            return _read_all(root, statuses, listing, state, base)
        except _ChangedError as error:
            changed = str(error)
        except (FileNotFoundError, NotADirectoryError) as error:
            changed = f"{show(str(error.filename))} went away"
    raise DataError(
        f"CODE_DIR changes while it is read, and did so again: {changed}. Submit again when what writes "
        "there is done, or leave it out with a .gitignore or .dockerignore"
    )


def _check(source: Path, statuses: Mapping[str, os.stat_result], limit: Bulk | None) -> None:
    docker = source / ".dockerignore"
    in_checkout = find_checkout(source) is not None
    if not statuses:
        ignored = " that git does not ignore" if in_checkout else ""
        raise DataError(
            f"CODE_DIR is {source}, which has no files{ignored}; name the folder of your code in the profile"
        )
    total = Bulk(files=len(statuses), size_bytes=sum(map(size_of, statuses.values())))
    if limit is None or total.is_within(limit):
        return
    most = "\n  ".join(describe_heaviest(weigh(statuses), limit))
    # Where there is no checkout, no .gitignore is read.
    files = f"a .gitignore or {docker}" if in_checkout else str(docker)
    raise DataError(
        f"CODE_DIR is {source}, which has {total}; CODE_LIMIT allows {limit}. Most of it is\n  {most}\n"
        f"Leave out with {files} what the program does not need, bring data to the cluster with "
        "`invoke stage`, or raise CODE_LIMIT in the profile"
    )


def _read_all(
    root: Path, statuses: dict[str, os.stat_result], listing: Listing, state: Path, base: Tree | None
) -> Snapshot:
    cache, place = HashCache(state / "code", root), str(root)
    hashed: dict[str, Hashed] = {}
    entries = {}
    try:
        for name in listing.names:
            entries[name], statuses[name] = _entry(f"{place}/{name}", name, statuses[name], cache)
            if entries[name].is_file:
                hashed[name] = (file_key(statuses[name]), entries[name].value)
    finally:
        cache.remember(hashed)
    tree = Tree(entries=entries)

    def read(name: str, write: Callable[[bytes], object]) -> None:
        digest = hashlib.sha256()

        def use(chunk: bytes) -> None:
            digest.update(chunk)
            write(chunk)

        _read_file(f"{place}/{name}", use)
        if digest.hexdigest() != entries[name].value:
            raise _ChangedError(f"{show(f'{place}/{name}')} changed")

    return Snapshot(
        source=root,
        tree=tree,
        size_bytes=sum(map(size_of, statuses.values())),
        package=pack(tree, statuses, read, state / "tmp", base),
        notes=listing.notes,
    )


def _entry(path: str, name: str, status: os.stat_result, cache: HashCache) -> tuple[Entry, os.stat_result]:
    """What stands for a file, link or empty folder in its tree, and what it looked like then.

    Raises:
        _ChangedError: it changed meanwhile.
        FileNotFoundError: it is no longer there.
    """
    if stat.S_ISLNK(status.st_mode):
        return Entry(kind="link", value=_read_link(path)), status
    if stat.S_ISDIR(status.st_mode):
        return Entry(kind="folder", value=""), status
    known = cache.find(name, file_key(status))
    if known is None:
        digest = hashlib.sha256()
        status = _read_file(path, digest.update)
        known = digest.hexdigest()
    return Entry(kind="program" if status.st_mode & stat.S_IXUSR else "file", value=known), status


def _read_link(path: str) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - a Path would tidy it up
    except FileNotFoundError:
        raise
    except OSError as error:
        raise _ChangedError(f"{show(path)} changed") from error


def _read_file(source: str, use: Callable[[bytes], object]) -> os.stat_result:
    """Read a file to its end.

    Raises:
        _ChangedError: it changed meanwhile.
    """
    with _open(source) as reader:
        before = os.fstat(reader.fileno())
        read_bytes = 0
        # What grows as fast as it is read would never come to an end.
        while read_bytes <= before.st_size and (chunk := _read(reader, source)):
            use(chunk)
            read_bytes += len(chunk)
        after = os.fstat(reader.fileno())
    if _look(before) != _look(after) or read_bytes != after.st_size:
        raise _ChangedError(f"{show(source)} changed")
    return before


def _look(status: os.stat_result) -> tuple[int, ...]:
    return status.st_mode, *file_key(status)


def _open(source: str) -> BinaryIO:
    try:
        # Should it have become a link or a pipe by now, it is not to be followed or waited for.
        reader = os.fdopen(os.open(source, _OPEN), "rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):
            raise _ChangedError(f"{show(source)} changed") from error
        raise _unreadable(source, error) from error
    if not stat.S_ISREG(os.fstat(reader.fileno()).st_mode):
        reader.close()
        raise _ChangedError(f"{show(source)} changed")
    return reader


def _read(reader: BinaryIO, source: str) -> bytes:
    try:
        return reader.read(_CHUNK_BYTES)
    except OSError as error:
        raise _unreadable(source, error) from error


def _unreadable(source: str, error: OSError) -> DataError:
    return DataError(
        f"{show(source)} in CODE_DIR cannot be read: {error.strerror}; "
        "make it readable, or leave it out with a .gitignore or .dockerignore"
    )
