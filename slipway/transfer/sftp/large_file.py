"""Files that are sent in pieces: what has arrived of them, and what is still to come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from slipway.sftp import fxp, small_file
from slipway.sftp.pipeline import Operation
from slipway.sftp.wire import NO_SUCH_FILE, RefusedError, Request
from slipway.transfer.sftp.journal import parse_journal, pieces
from slipway.transfer.sftp.local_file import Original


class Large:
    """A large file on its way: which pieces are still to come."""

    def __init__(self, one: Original, part: PurePosixPath, arrived: dict[int, str]) -> None:
        self.one = one
        self.part = part
        self.journal = part.with_name(f"{part.name}.journal")
        self.arrived = arrived
        self._left = {start for start, _ in pieces(one.size_bytes)}
        self._lock = threading.Lock()

    def is_last(self, start: int) -> bool:
        """Count a piece as done; True where it was the last."""
        with self._lock:
            self._left.discard(start)
            return not self._left


def find_arrived(part: PurePosixPath, journal: PurePosixPath) -> Operation:
    """The pieces that an attempt that was cut has left: their hashes, by where each begins."""
    try:
        (entry,) = yield [fxp.look(part, follow=False)]
        content = yield from small_file.read(journal, 0)
    except RefusedError as refusal:
        if refusal.code != NO_SUCH_FILE:
            raise
        return {}
    found = parse_journal(content)
    return {start: digest for start, digest in found.items() if start < entry.size_bytes}


def write_range(
    one: Original,
    handle: bytes,
    start: int,
    size: int,
    *,
    last: list[Request],
    update: Callable[[bytes], object] = len,
) -> Iterator[Request]:
    """What writes a part of a file here to an open one there, and then asks ``last``.

    ``update`` is given each chunk.
    """
    offset = start
    for chunk in one.read(start, size):
        update(chunk)
        yield fxp.write(handle, offset, chunk)
        offset += len(chunk)
    yield from last


def write_times(handle: bytes, one: Original) -> Request:
    """What gives an open file the time of the one here."""
    # SFTP sets both or none. Scratch is often purged by the time of the last access, so that is now.
    return fxp.set_times(handle, (time.time(), one.mtime_s))
