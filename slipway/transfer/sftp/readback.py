"""Checksums where no command can be run there: what was sent is read back, and hashed here."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Sequence
from pathlib import PurePosixPath

from slipway.sftp import fxp
from slipway.sftp.channel_pool import ChannelPool, Tally, WorkQueue
from slipway.sftp.pipeline import Operation
from slipway.sftp.wire import NO_SUCH_FILE, READ, RefusedError
from slipway.transfer.sftp.download import read_range
from slipway.transfer.sftp.journal import PIECE_BYTES

_AHEAD = 16  # pieces of one file that are in memory at the same time, at most


def hash_back(pool: ChannelPool, folder: PurePosixPath, names: Sequence[str]) -> dict[str, str]:
    """The SHA-256 of files, in hex, by name; one that is not there is not in the answer.

    Args:
        pool: the channels.
        folder: where the files are.
        names: the files, relative to ``folder``.
    """
    work = WorkQueue()
    hashes = {name: _Hash(folder / name, work) for name in names}
    for one in hashes.values():
        work.add(one.begin())
    pool.run(work, Tally(0, 0, None))
    return {name: one.digest for name, one in hashes.items() if one.digest is not None}


class _Hash:
    """One file, whose pieces come in any order and are hashed in theirs."""

    def __init__(self, path: PurePosixPath, work: WorkQueue) -> None:
        self.digest: str | None = None
        self._path = path
        self._work = work
        self._size = 0
        self._asked = 0
        self._hashed = 0
        self._waiting: dict[int, bytes] = {}
        self._sha256 = hashlib.sha256()
        self._lock = threading.Lock()

    def begin(self) -> Operation:
        """Find out how large it is, and begin to read."""
        try:
            (entry,) = yield [fxp.look(self._path, follow=True)]
        except RefusedError as refusal:
            refusal.path = self._path
            if refusal.code == NO_SUCH_FILE:
                return
            raise
        if not entry.is_file:
            return
        self._size = entry.size_bytes
        with self._lock:
            self._end()
            for _ in range(_AHEAD):
                self._ask()

    def _ask(self) -> None:
        if self._asked < self._size:
            size = min(PIECE_BYTES, self._size - self._asked)
            self._work.add(self._piece(self._asked, size), size)
            self._asked += size

    def _piece(self, start: int, size: int) -> Operation:
        try:
            (handle,) = yield [fxp.open_file(self._path, READ)]
            content = yield from read_range(handle, start, size)
            yield [fxp.close(handle)]
        except RefusedError as refusal:
            refusal.path = self._path
            raise
        with self._lock:
            self._waiting[start] = content
            while self._hashed in self._waiting:
                piece = self._waiting.pop(self._hashed)
                self._sha256.update(piece)
                # One that is shorter by now has another hash, as it should.
                self._hashed += len(piece) or self._size
                self._ask()
            self._end()

    def _end(self) -> None:
        if self._hashed >= self._size:
            self.digest = self._sha256.hexdigest()
