"""Remembered hashes: as with git's index, a file that looks the same is not read again."""

from __future__ import annotations

import hashlib
import os
import secrets
import struct
import time
from collections.abc import Mapping
from contextlib import suppress
from itertools import chain
from pathlib import Path

# A file that is written twice within one tick of its disk's clock looks the same after the second time; FAT's
# clock ticks every 2 s, and a server's clock may differ from this machine's.
RACY_NS = 10 * 10**9

# Size in bytes, time of the content and of the inode in nanoseconds, inode.
FileKey = tuple[int, int, int, int]
Hashed = tuple[FileKey, str]
# A file begins with the SHA-256 of the rest: a byte that has changed there would make another hash of one.
# Then come so many keys, and the names and the hashes: there may be tens of thousands.
_PROOF_BYTES = 32
_COUNT = struct.Struct("<Q")
_KEY = struct.Struct("<QqqQ")


def file_key(status: os.stat_result) -> FileKey:
    """What a file looks like: where none of it has changed, its content has not."""
    return (status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino)


class HashCache:
    """The SHA-256 of the files below one folder, by name, as they were last time.

    Attributes:
        hashed: key and hash of each file.
    """

    def __init__(self, memory: Path, root: Path) -> None:
        self._place = memory / f"{hashlib.sha256(os.fsencode(root)).hexdigest()[:32]}.hashes"
        self._began_ns = time.time_ns()
        self.hashed: Mapping[str, Hashed] = _recall(self._place)

    def find(self, name: str, key: FileKey) -> str | None:
        """The hash of a file, if it was hashed when it looked like this."""
        known = self.hashed.get(name)
        return known[1] if known is not None and known[0] == key else None

    def remember(self, hashed: Mapping[str, Hashed]) -> None:
        """Keep these and no others for the next time, without those of files written seconds before."""
        before_ns = self._began_ns - RACY_NS
        calm = {name: one for name, one in hashed.items() if one[0][1] < before_ns and one[0][2] < before_ns}
        if calm == self.hashed:
            return
        part = self._place.with_suffix(f".{secrets.token_hex(4)}")
        try:
            content = _write(calm)
            part.parent.mkdir(parents=True, exist_ok=True)
            part.write_bytes(hashlib.sha256(content).digest() + content)
            part.replace(self._place)
        except (OSError, struct.error):  # It only saves time; a time of before 1678 has no room in a key.
            with suppress(OSError):
                part.unlink(missing_ok=True)


def _write(hashed: Mapping[str, Hashed]) -> bytes:
    numbers = chain.from_iterable(key for key, _ in hashed.values())
    keys = struct.pack("<" + "QqqQ" * len(hashed), *numbers)
    words = "\0".join([*hashed, *(digest for _, digest in hashed.values())])
    return _COUNT.pack(len(hashed)) + keys + os.fsencode(words)


def _recall(place: Path) -> dict[str, Hashed]:
    try:
        content = place.read_bytes()
        proof, content = content[:_PROOF_BYTES], content[_PROOF_BYTES:]
        if hashlib.sha256(content).digest() != proof:
            return {}
        (count,) = _COUNT.unpack_from(content)
        end = _COUNT.size + count * _KEY.size
        keys = _KEY.iter_unpack(content[_COUNT.size : end])
        words = os.fsdecode(content[end:]).split("\0")
        return dict(zip(words, zip(keys, words[count:], strict=True), strict=False))
    except (OSError, ValueError, struct.error):
        return {}  # there is none yet, or it is broken: everything is hashed
