"""Remembered hashes: as with git's index, a file that looks the same is not read again."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from slipway.jsontext import load_json

# A file that is written twice within one tick of its disk's clock looks the same after the second time; FAT's
# clock ticks every 2 s, and a server's clock may differ from this machine's.
RACY_NS = 10 * 10**9

# Size in bytes, time of the content and of the inode in nanoseconds, inode.
FileKey = tuple[int, int, int, int]
Hashed = tuple[FileKey, str]


def file_key(status: os.stat_result) -> FileKey:
    """What a file looks like: where none of it has changed, its content has not."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class HashCache:
    """The SHA-256 of the files below one folder, by name, as they were last time.

    Attributes:
        hashed: key and hash of each file.
    """

    def __init__(self, memory: Path, root: Path) -> None:
        self._place = memory / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.json"
        self._began_ns = time.time_ns()
        self.hashed: Mapping[str, Hashed] = _recall(self._place)

    def find(self, name: str, key: FileKey) -> str | None:
        """The hash of a file, if it was hashed when it looked like this."""
        known = self.hashed.get(name)
        return known[1] if known is not None and known[0] == key else None

    def remember(self, hashed: Mapping[str, Hashed]) -> None:
        """Keep these and no others for the next time, without those of files written seconds before."""
        before_ns = self._began_ns - RACY_NS
        calm = {name: one for name, one in hashed.items() if max(one[0][1:3]) < before_ns}
        if calm == self.hashed:
            return
        rows = {name: [*key, digest] for name, (key, digest) in calm.items()}
        part = self._place.with_suffix(f".{secrets.token_hex(4)}")
        try:
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_text(json.dumps(rows), encoding="utf-8")
            part.replace(self._place)
        except OSError:  # It only saves time.
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _recall(place: Path) -> dict[str, Hashed]:
    try:
        rows = load_json(place.read_bytes())
        if not all(_is_row(row) for row in rows.values()):
            return {}
        return {
            name: ((size, mtime, ctime, inode), digest)
            for name, (size, mtime, ctime, inode, digest) in rows.items()
        }
    except (OSError, ValueError, AttributeError, TypeError):
        return {}  # there is none yet, or it is broken: everything is hashed


def _is_row(row: object) -> bool:
    return (
        isinstance(row, list)
        and len(row) == 5
        and all(type(number) is int for number in row[:4])
        and isinstance(row[4], str)
    )
