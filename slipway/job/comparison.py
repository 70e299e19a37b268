"""Results here beside those on the cluster: whether each file is the same."""

from __future__ import annotations

import hashlib
import os
import stat
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from slipway.background import Background
from slipway.host.host import Host
from slipway.job.home import Arrived
from slipway.sftp.wire import Entry
from slipway.transfer.checksum import hash_remote

_CHUNK_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Compared:
    """What a comparison has found.

    Attributes:
        arrived: files that are here as they are there.
        different: names of the others, each with what is different.
    """

    arrived: Mapping[str, Arrived]
    different: Mapping[str, str]


def compare(
    host: Host,
    source: PurePosixPath,
    home: Path,
    files: Mapping[str, Entry],
    known: Mapping[str, Arrived] | None = None,
) -> Compared:
    """Compare files by their hashes; by size and time where the host runs no commands.

    There all of them would have to come once more to be hashed.

    Args:
        host: the connection.
        source: the folder there.
        home: the folder here.
        files: what is there, by name.
        known: what was found to be the same before. What was not changed there since then is not hashed
            there again; here it is.
    """
    if not host.runs_commands:
        return _by_time(home, files)
    names = sorted(files)
    hashed = Background(lambda: _hash_here(home, names))
    there = {name: sha256 for name in names if (sha256 := _hash_before(files[name], (known or {}).get(name)))}
    if asked := [name for name in names if name not in there]:
        there |= hash_remote(host, source, asked, some_closed=True)
    here = {name: replace(one, mtime_s=files[name].mtime_s) for name, one in hashed.result().items()}
    different = {name: _difference(name, here, there) for name in names}
    return _compared(here, different)


def _hash_before(entry: Entry, before: Arrived | None) -> str | None:
    """The hash of a file there, where it is as it was when it was last asked for."""
    if before is None or (before.size_bytes, before.mtime_s) != (entry.size_bytes, entry.mtime_s):
        return None
    return before.sha256


def look_here(home: Path, names: Iterable[str]) -> dict[str, Arrived]:
    """The regular files among these that are here."""
    found = {}
    for name in names:
        if status := _status(home / name):
            found[name] = Arrived(size_bytes=status.st_size)
    return found


def _compared(here: Mapping[str, Arrived], different: Mapping[str, str | None]) -> Compared:
    return Compared(
        arrived={name: here[name] for name, why in different.items() if why is None},
        different={name: why for name, why in different.items() if why is not None},
    )


def _difference(name: str, here: Mapping[str, Arrived], there: Mapping[str, str]) -> str | None:
    if name not in here:
        return "it is not here"
    if name not in there:
        return "it went away there, or cannot be read any more"
    return None if here[name].sha256 == there[name] else "its content here is not the one there (SHA-256)"


def _by_time(home: Path, files: Mapping[str, Entry]) -> Compared:
    different: dict[str, str | None] = {}
    for name, entry in files.items():
        status = _status(home / name)
        same = status and (status.st_size, int(status.st_mtime)) == (entry.size_bytes, entry.mtime_s)
        different[name] = None if same else "its size or time here is not the one there"
    return _compared(look_here(home, files), different)


def _status(path: Path) -> os.stat_result | None:
    with suppress(OSError):
        status = path.lstat()
        if stat.S_ISREG(status.st_mode):
            return status
    return None


def _hash_here(home: Path, names: Iterable[str]) -> dict[str, Arrived]:
    found = {}
    for name in names:
        if _status(home / name) is None:
            continue
        with suppress(OSError), (home / name).open("rb") as file:
            digest, size_bytes = hashlib.sha256(), 0
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                size_bytes += len(chunk)
            found[name] = Arrived(size_bytes=size_bytes, sha256=digest.hexdigest())
    return found
