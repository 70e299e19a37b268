"""A SHA-256 that is computed beside the writing, of which it would be half the time."""

from __future__ import annotations

import hashlib
import queue
import threading
from types import TracebackType

# Pieces of a megabyte or less that wait for the hash.
_WAITING = 16


class Hasher:
    """Hashes in a thread of its own, which ends with the block: ``with Hasher() as hasher``."""

    def __init__(self) -> None:
        self._digest = hashlib.sha256()
        self._pieces: queue.Queue[bytes | memoryview | None] = queue.Queue(_WAITING)
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> Hasher:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._pieces.put(None)
        self._thread.join()

    def update(self, piece: bytes | memoryview) -> None:
        """Hash these bytes, too. They must not change afterwards."""
        self._pieces.put(piece)

    def hexdigest(self) -> str:
        """The hash, after the block."""
        return self._digest.hexdigest()

    def _work(self) -> None:
        while (piece := self._pieces.get()) is not None:
            self._digest.update(piece)
