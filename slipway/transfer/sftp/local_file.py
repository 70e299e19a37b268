"""What files here hold: read for sending, compared, and changed files noticed."""

from __future__ import annotations

import errno
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from slipway.errors import DataError, HostError, SlipwayError, SpaceError
from slipway.sftp.wire import CHUNK_BYTES, LATEST_S, Entry
from slipway.skipped import reason
from slipway.transfer.source import Source

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True, kw_only=True)
class Original:
    """A file here that is sent: its name there, relative; where it is; how it was when that was decided."""

    name: str
    path: Path
    mode: int
    size_bytes: int
    mtime_ns: int

    @property
    def mtime_s(self) -> int:
        """The time of its last change as SFTP has it, in whole seconds."""
        return self.mtime_ns // 10**9

    def read(self, start: int, size_bytes: int) -> Iterator[bytes]:
        """A part of it, in chunks.

        Raises:
            DataError: it cannot be read, or is another one by now.
        """
        with told(self.path, reading=True), open(self.path, "rb", opener=_no_link) as file:
            self._compare(os.fstat(file.fileno()))
            file.seek(start)
            left = size_bytes
            while left:
                chunk = file.read(min(CHUNK_BYTES, left))
                if not chunk:
                    raise self._changed()
                left -= len(chunk)
                yield chunk
            self._compare(os.fstat(file.fileno()))

    def digest(self, start: int, size_bytes: int) -> str:
        """The SHA-256 of a part of it, in hex."""
        sha256 = hashlib.sha256()
        for chunk in self.read(start, size_bytes):
            sha256.update(chunk)
        return sha256.hexdigest()

    def _compare(self, now: os.stat_result) -> None:
        if (now.st_size, now.st_mtime_ns) != (self.size_bytes, self.mtime_ns):
            raise self._changed()

    def _changed(self) -> DataError:
        return DataError(f"{self.path} was changed while it was sent; do it again when nobody writes to it")


@dataclass(frozen=True, kw_only=True)
class SourceOriginal(Original):
    """One that has its bytes in several places; whether they are the right ones says its hash there."""

    source: Source

    def read(self, start: int, size_bytes: int) -> Iterator[bytes]:
        """See :meth:`Original.read`."""
        with told(self.path, reading=True):
            yield from self.source.read(start, size_bytes, CHUNK_BYTES)


def original(name: str, path: Path, found: os.stat_result) -> Original:
    """A file as ``os.stat`` has it."""
    return Original(
        name=name, path=path, mode=found.st_mode, size_bytes=found.st_size, mtime_ns=found.st_mtime_ns
    )


def is_version(entry: Entry | None, one: Original) -> bool:
    """True where a name there is the same version of a file here, by its size and time."""
    wanted = (one.size_bytes, min(max(one.mtime_s, 0), LATEST_S))
    return entry is not None and entry.is_file and (entry.size_bytes, entry.mtime_s) == wanted


def as_executable(mode: int, wanted: int) -> int:
    """The mode with the owner's wish for who may execute it: whoever may read it, or nobody."""
    mode &= 0o777
    if bool(mode & 0o100) == bool(wanted & 0o100):
        return mode
    return mode | (mode & 0o444) >> 2 if wanted & 0o100 else mode & ~0o111


@contextmanager
def told(path: Path, *, reading: bool = False) -> Iterator[None]:
    """Say it in the project's own words where a file here cannot be used.

    Raises:
        DataError: it cannot be read.
        SpaceError: there is no room for it.
        HostError: it cannot be written for another reason.
    """
    try:
        yield
    except SlipwayError:
        raise
    except OSError as error:
        if reading:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from error
        if error.errno in _FULL:
            raise SpaceError(f"{path}: there is no room for it here: {error.strerror}") from error
        raise HostError(f"{path} cannot be written: {error.strerror or error}") from error


def explain(error: SlipwayError) -> str:
    """Why one file could not be used, without its name; for what :func:`told` and :class:`Original` raise."""
    cause = error.__cause__
    return reason(cause) if isinstance(cause, OSError) else "it changed meanwhile"


def _no_link(path: str, flags: int) -> int:
    # What was a file when it was looked at must not lead elsewhere now.
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0))
