"""Fetching: the conversations that bring files home, and what they write here."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath

from slipway.errors import HostError, SpaceError
from slipway.sftp import fxp
from slipway.sftp.listing import PARTIAL, Listing
from slipway.sftp.pipeline import Operation
from slipway.sftp.wire import CHUNK_BYTES, FAILURE, READ, Entry, RefusedError
from slipway.transfer.sftp.journal import PIECE_BYTES, identity, line, parse_journal, pieces, place
from slipway.transfer.sftp.local_file import as_executable, explain, told

_STALE_S = 24 * 3600


class Download:
    """One tree on its way home.

    What cannot be read there or written here is skipped, and the rest comes.

    Args:
        source: the folder on the cluster.
        there: what is in it.
        skipped: names of which it is known that they cannot be brought, and why; the others are added.
        target: the folder here; it exists.
        add: takes conversations that come up meanwhile.
        tell: is told of bytes that need not be fetched.
    """

    def __init__(
        self,
        source: PurePosixPath,
        there: Listing,
        target: Path,
        *,
        skipped: dict[str, str],
        add: Callable[[Operation, int], None],
        tell: Callable[[int], None],
    ) -> None:
        self.source = source
        self.there = there
        self.target = target
        self.skipped = skipped
        self.partial = target / PARTIAL
        self.own = self.partial / secrets.token_hex(8)
        self._add = add
        self._tell = tell
        self._numbers = iter(range(1 << 62))
        self._parts: dict[str, Path] = {}

    @property
    def files(self) -> dict[str, Entry]:
        """The files there that are to come."""
        return {name: entry for name, entry in self._wanted() if entry.is_file}

    @property
    def left_out(self) -> list[str]:
        """Pipes, sockets and devices."""
        return [name for name, one in self._wanted() if not (one.is_file or one.is_folder or one.is_link)]

    def is_same(self, name: str) -> bool:
        """True where the file is here with the same size and time."""
        with suppress(OSError):
            found, entry = (self.target / name).lstat(), self.there[name]
            here = (found.st_size, found.st_mtime_ns // 10**9)
            return stat.S_ISREG(found.st_mode) and here == (entry.size_bytes, entry.mtime_s)
        return False

    def make_folders(self) -> None:
        """Make the folders, in the place of what else has their names."""
        folders = [name for name, entry in self.there.items() if entry.is_folder]
        for name in sorted(folders, key=lambda name: name.count("/")):
            path = self.target / name
            if self._is_wanted(name):
                with self._skipping(name), told(path):
                    if path.is_symlink() or path.is_file():
                        path.unlink()
                    path.mkdir(exist_ok=True)
        with told(self.own):
            self.own.mkdir(parents=True)

    def contents(self) -> Iterator[tuple[Operation, int]]:
        """What brings the files, and then the links, and how many bytes each conversation moves itself."""
        for name, entry in self.files.items():
            if self.is_same(name):
                with self._skipping(name), told(self.target / name):
                    _set_executable(self.target / name, entry.mode)
            elif entry.size_bytes > PIECE_BYTES:
                yield self._about(name, self._begin_large(name, entry)), 0
            else:
                yield self._about(name, self._get(name, entry)), entry.size_bytes
        for name, entry in self._wanted():
            if entry.is_link:
                yield self._about(name, self._get_link(name)), 0

    def tidy(self) -> None:
        """Remove what is needed no more, and what was left for more than a day; it never fails."""
        shutil.rmtree(self.own, ignore_errors=True)
        for part in (one for name, one in self._parts.items() if name in self.skipped):
            part.unlink(missing_ok=True)
            _journal(part).unlink(missing_ok=True)
        for path in self.partial.glob("*"):
            with suppress(OSError):
                if path.lstat().st_mtime < time.time() - _STALE_S:
                    shutil.rmtree(path) if path.is_dir() else path.unlink()
        with suppress(OSError):
            self.partial.rmdir()

    def set_times(self) -> None:
        """Give the folders their times, after their content has come."""
        for name, entry in self._wanted():
            if entry.is_folder:
                with self._skipping(name), told(self.target / name):
                    os.utime(self.target / name, (time.time(), entry.mtime_s))

    def _wanted(self) -> list[tuple[str, Entry]]:
        return [(name, entry) for name, entry in self.there.items() if self._is_wanted(name)]

    def _is_wanted(self, name: str) -> bool:
        """True for what is not skipped, and does not lie in a folder that is."""
        return not self.skipped or self.skipped.keys().isdisjoint([name, *_parents(name)])

    @contextmanager
    def _skipping(self, name: str) -> Iterator[None]:
        """Note a name as skipped where it cannot be read there or written here; no room here ends all."""
        try:
            yield
        except RefusedError as refusal:
            self.skipped.setdefault(name, refusal.reason)
        except SpaceError:
            raise
        except HostError as error:
            self.skipped.setdefault(name, explain(error))

    def _about(self, name: str, operation: Operation) -> Operation:
        with self._skipping(name):
            yield from operation

    def _part(self) -> Path:
        return self.own / str(next(self._numbers))

    def _get(self, name: str, entry: Entry) -> Operation:
        content = yield from self._range(name, 0, entry.size_bytes)
        part = self._part()
        with told(self.target / name):
            part.touch(_mode(entry))
            part.write_bytes(content)
            self._settle(name, entry, part)

    def _range(self, name: str, start: int, size: int) -> Operation:
        (handle,) = yield [fxp.open_file(self.source / name, READ)]
        content = yield from read_range(handle, start, size)
        yield [fxp.close(handle)]
        if len(content) < size:
            raise RefusedError(FAILURE, "it became shorter while it was fetched; pull again")
        return content

    def _settle(self, name: str, entry: Entry, part: Path) -> None:
        os.utime(part, (time.time(), entry.mtime_s))
        path = self.target / name
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        part.replace(path)

    def _get_link(self, name: str) -> Operation:
        (to,) = yield [fxp.read_link(self.source / name)]
        path, part = self.target / name, self._part()
        with told(path):
            if not (path.is_symlink() and os.readlink(path) == to):  # noqa: PTH115 - as it is written
                part.symlink_to(to)
                if path.is_dir() and not path.is_symlink():
                    path.rmdir()
                part.replace(path)

    def _begin_large(self, name: str, entry: Entry) -> Operation:
        part = self._parts[name] = self.partial / identity(name, entry.size_bytes, entry.mtime_s)
        large = _Large(name, entry, part)
        with told(part):
            part.touch(_mode(entry))
            large.journal.touch()
            large.arrived = parse_journal(large.journal.read_bytes())
        for start, size in pieces(entry.size_bytes):
            self._add(self._about(name, self._piece(large, start, size)), size)
        return
        yield

    def _piece(self, large: _Large, start: int, size: int) -> Operation:
        if large.name in self.skipped:
            return
        if large.has(start, size):
            self._tell(size)
        else:
            content = yield from self._range(large.name, start, size)
            with told(large.part):
                _put(large.part, start, content)
                _put(large.journal, place(start), line(hashlib.sha256(content).hexdigest()))
        if large.is_last(start):
            with told(self.target / large.name):
                self._settle(large.name, large.entry, large.part)
                large.journal.unlink()


class _Large:
    """A large file on its way: which pieces are here."""

    def __init__(self, name: str, entry: Entry, part: Path) -> None:
        self.name = name
        self.entry = entry
        self.part = part
        self.journal = _journal(part)
        self.arrived: dict[int, str] = {}
        self._left = {start for start, _ in pieces(entry.size_bytes)}
        self._lock = threading.Lock()

    def has(self, start: int, size: int) -> bool:
        """True where an attempt that was cut has left this piece, and it is as it came."""
        if start not in self.arrived:
            return False
        with told(self.part), self.part.open("rb") as file:
            file.seek(start)
            return hashlib.sha256(file.read(size)).hexdigest() == self.arrived[start]

    def is_last(self, start: int) -> bool:
        """Count a piece as done; True where it was the last."""
        with self._lock:
            self._left.discard(start)
            return not self._left


def read_range(handle: bytes, start: int, size: int) -> Operation:
    """Read a part of an open file; the answer is shorter only where the file ends."""
    wanted = [(offset, min(CHUNK_BYTES, size - offset)) for offset in range(0, size, CHUNK_BYTES)]
    found: dict[int, bytes] = {}
    while wanted:
        answers = yield [fxp.read(handle, start + offset, length) for offset, length in wanted]
        found |= {offset: answer for (offset, _), answer in zip(wanted, answers, strict=True) if answer}
        # A server may give less than it was asked for.
        wanted = [
            (offset + len(answer), length - len(answer))
            for (offset, length), answer in zip(wanted, answers, strict=True)
            if answer and len(answer) < length
        ]
    content = bytearray()
    for offset, piece in sorted(found.items()):
        if offset != len(content):
            break
        content += piece
    return bytes(content)


def _journal(part: Path) -> Path:
    return part.with_name(f"{part.name}.journal")


def _parents(name: str) -> Iterator[str]:
    while name := name.rpartition("/")[0]:
        yield name


def _mode(entry: Entry) -> int:
    return entry.mode & 0o777 | 0o600


def _put(path: Path, offset: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(content)


def _set_executable(path: Path, wanted: int) -> None:
    mode = path.stat().st_mode & 0o777
    if as_executable(mode, wanted) != mode:
        path.chmod(as_executable(mode, wanted))
