"""A large file that is sent: a file here, or one that has its bytes in several places."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

CHUNK = 1 << 20


class Source(Protocol):
    """What is read to send a file."""

    @property
    def name(self) -> str:
        """The name of the file."""
        ...

    @property
    def size_bytes(self) -> int:
        """Its size."""
        ...

    @property
    def path(self) -> Path:
        """The file here; where it is not whole, it has holes."""
        ...

    @property
    def is_whole(self) -> bool:
        """Whether all bytes are in the file here."""
        ...

    def hold(self) -> AbstractContextManager[None]:
        """Keep what is read open meanwhile, so that it may be removed here."""
        ...

    def status(self) -> os.stat_result:
        """What the file here is, by the system."""
        ...

    def read(self, start: int, size_bytes: int, chunk_bytes: int = CHUNK) -> Iterator[bytes]:
        """A part of the file, in chunks of at most ``chunk_bytes``; less, where the file is shorter."""
        ...

    def file(self) -> Path:
        """The file as a whole; it is written where it is not there yet."""
        ...


@dataclass(frozen=True)
class WholeFile:
    """A file here, as it is; see :class:`Source`."""

    path: Path

    is_whole = True

    @property
    def name(self) -> str:
        """See :class:`Source`."""
        return self.path.name

    @property
    def size_bytes(self) -> int:
        """See :class:`Source`."""
        return self.path.stat().st_size

    def hold(self) -> AbstractContextManager[None]:
        """Nothing: who sends it opens it once."""
        return nullcontext()

    def status(self) -> os.stat_result:
        """See :class:`Source`."""
        return self.path.stat()

    def read(self, start: int, size_bytes: int, chunk_bytes: int = CHUNK) -> Iterator[bytes]:
        """See :class:`Source`."""
        with self.path.open("rb") as file:
            file.seek(start)
            left = size_bytes
            while left and (chunk := file.read(min(left, chunk_bytes))):
                left -= len(chunk)
                yield chunk

    def file(self) -> Path:
        """See :class:`Source`."""
        return self.path


def sha256_of(source: Source) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    for chunk in source.read(0, source.size_bytes):
        digest.update(chunk)
    return digest.hexdigest()
