"""Sending: the conversations that bring folders, files and links to the cluster."""

from __future__ import annotations

import hashlib
import re
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from slipway.errors import DataError
from slipway.sftp import small, wire
from slipway.sftp.content import Original
from slipway.sftp.journal import PIECE_BYTES, identity, line, parse_journal, pieces, place
from slipway.sftp.listing import PARTIAL, Listing, list_folder
from slipway.sftp.plan import Plan
from slipway.sftp.session import Conversation
from slipway.sftp.wire import (
    CREATE,
    EXCLUSIVE,
    FAILURE,
    NO_SUCH_FILE,
    READ,
    WRITE,
    Entry,
    RefusedError,
    Request,
)

_STALE_S = 24 * 3600
_OURS = re.compile(r"[0-9a-f]{32}(\.journal)?|[0-9a-f]{16}")
_COPY_BYTES = 256 << 20


class Upload:
    """One tree on its way to the cluster.

    Args:
        plan: what is to be there.
        target: the folder there; it exists.
        there: what is in it.
        add: takes conversations that come up meanwhile.
        tell: is told of bytes that need not be sent.
        old: a folder with earlier versions, and what is in it.
    """

    def __init__(
        self,
        plan: Plan,
        target: PurePosixPath,
        there: Listing,
        *,
        add: Callable[[Conversation, int], None],
        tell: Callable[[int], None],
        old: tuple[PurePosixPath, Listing] | None = None,
    ) -> None:
        self.plan = plan
        self.target = target
        self.there = there
        self.partial = target / PARTIAL
        self.own = self.partial / secrets.token_hex(8)
        self._add = add
        self._tell = tell
        self._old = old
        self._numbers = iter(range(1 << 62))

    def is_same(self, one: Original) -> bool:
        """True where the file is there with the same size and time."""
        return _is_version(self.there.get(one.name), one)

    @property
    def to_send(self) -> list[Original]:
        """The files that are not there as they are here."""
        return [one for one in self.plan.files.values() if not self.is_same(one)]

    def levels(self) -> Iterator[list[Conversation]]:
        """What makes the folders: those on one level at once, as each needs the one that it lies in."""
        names = [name for name in self.plan.folders if not _is_folder(self.there.get(name))]
        for depth in sorted({name.count("/") for name in names}):
            yield [self._about(name, self._make_folder(name)) for name in names if name.count("/") == depth]
        if self.to_send or self.plan.links:
            yield [self._about("", self._make(self.partial))]
            yield [self._about("", self._make(self.own))]

    def contents(self) -> Iterator[tuple[Conversation, int]]:
        """What brings the files and the links, and how many bytes each conversation moves itself."""
        for one in self.plan.files.values():
            entry = self.there.get(one.name)
            if self.is_same(one):
                mode = _as_executable(entry.mode, one.mode) if entry else one.mode
                if entry and mode != entry.mode & 0o777:
                    request = wire.set_attributes(self.target / one.name, mode=mode)
                    yield self._about(one.name, _only(request)), 0
            elif one.size_bytes > PIECE_BYTES:
                yield self._about(one.name, self._begin_large(one)), 0
            else:
                yield self._about(one.name, self._put(one)), one.size_bytes
        for name, target in self.plan.links.items():
            yield self._about(name, self._put_link(name, target)), 0

    def times(self) -> Iterator[Conversation]:
        """What gives the folders their times, after their content has come."""
        for name, (_, mtime_s) in self.plan.folders.items():
            request = wire.set_attributes(self.target / name, times_s=(time.time(), mtime_s))
            yield self._about(name, _only(request))

    def tidy(self) -> Conversation:
        """Remove what is needed no more, and what was left for more than a day; it never fails."""
        try:
            yield [wire.remove_folder(self.own), wire.remove_folder(self.partial)]
            return
        except RefusedError:
            pass  # there is more in it
        try:
            for name, entry in (yield from list_folder(self.partial, missing_ok=True)):
                path = self.partial / name
                is_stale = _OURS.fullmatch(name) and entry.mtime_s < time.time() - _STALE_S
                if path == self.own or (is_stale and entry.is_folder):
                    yield from _clear(path)
                elif is_stale:
                    yield [wire.remove(path)]
            yield [wire.remove_folder(self.partial)]
        except RefusedError:
            return

    def _about(self, name: str, conversation: Conversation) -> Conversation:
        try:
            return (yield from conversation)
        except RefusedError as refusal:
            refusal.path = refusal.path or self.target / name
            raise

    def _make_folder(self, name: str) -> Conversation:
        entry, path = self.there.get(name), self.target / name
        if entry is not None:
            yield [wire.remove(path)]  # a file or a link, which is not followed
        mode = self.plan.folders[name][0] & 0o777 | 0o700
        yield from self._make(path, mode)

    def _make(self, path: PurePosixPath, mode: int = 0o777) -> Conversation:
        try:
            yield [wire.make_folder(path, mode)]
        except RefusedError as refusal:
            # Somebody else may have made it in the meantime.
            if refusal.code != FAILURE:
                raise
            try:
                (entry,) = yield [wire.look(path, follow=False)]
            except RefusedError:
                raise refusal from None
            if not entry.is_folder:
                raise

    def _put(self, one: Original) -> Conversation:
        part = self.own / str(next(self._numbers))
        if (yield from self._copied(one, part)):
            self._tell(one.size_bytes)
        else:
            (handle,) = yield [wire.open_file(part, WRITE | CREATE | EXCLUSIVE, one.mode & 0o777 | 0o600)]
            yield _written(one, handle, 0, one.size_bytes, last=[_times(handle, one), wire.close(handle)])
        yield from self._settle(one.name, part)

    def _copied(self, one: Original, part: PurePosixPath) -> Conversation:
        """Copy an earlier version on the server, where that is the same; says whether it was done."""
        folder, listing = self._old or (self.target, {})
        if not _is_version(listing.get(one.name), one):
            return False
        try:
            (source,) = yield [wire.open_file(folder / one.name, READ)]
            (handle,) = yield [wire.open_file(part, WRITE | CREATE, one.mode & 0o777 | 0o600)]
            for start in range(0, one.size_bytes, _COPY_BYTES):
                yield [wire.copy(source, handle, start, min(_COPY_BYTES, one.size_bytes - start))]
            yield [_times(handle, one), wire.close(handle), wire.close(source)]
        except RefusedError:
            try:
                yield [wire.remove(part)]  # it may be half of it
            except RefusedError:
                return False
            return False
        return True

    def _settle(self, name: str, part: PurePosixPath) -> Conversation:
        path = self.target / name
        if _is_folder(self.there.get(name)):
            yield [wire.remove_folder(path)]
        yield [wire.rename(part, path)]

    def _put_link(self, name: str, target: str) -> Conversation:
        entry = self.there.get(name)
        if entry is not None and entry.is_link:
            (now,) = yield [wire.read_link(self.target / name)]
            if now == target:
                return
        part = self.own / str(next(self._numbers))
        yield [wire.make_link(part, target)]
        yield from self._settle(name, part)

    def _begin_large(self, one: Original) -> Conversation:
        part = self.partial / identity(one.name, one.size_bytes, one.mtime_s)
        if (yield from self._copied(one, part)):
            self._tell(one.size_bytes)
            yield from self._settle(one.name, part)
            return
        large = _Large(one, part, (yield from _arrived(part, part.with_name(f"{part.name}.journal"))))
        (handle,) = yield [wire.open_file(part, WRITE | CREATE, one.mode & 0o777 | 0o600)]
        yield [wire.close(handle)]
        for start, size in pieces(one.size_bytes):
            self._add(self._about(one.name, self._piece(large, start, size)), size)

    def _piece(self, large: _Large, start: int, size: int) -> Conversation:
        one = large.one
        if start in large.arrived and one.digest(start, size) == large.arrived[start]:
            self._tell(size)
        else:
            (handle,) = yield [wire.open_file(large.part, WRITE)]
            sha256 = hashlib.sha256()
            yield _written(one, handle, start, size, last=[wire.close(handle)], update=sha256.update)
            (handle,) = yield [wire.open_file(large.journal, WRITE | CREATE)]
            yield [wire.write(handle, place(start), line(sha256.hexdigest())), wire.close(handle)]
        if large.is_last(start):
            yield from self._end_large(large)

    def _end_large(self, large: _Large) -> Conversation:
        one = large.one
        (handle,) = yield [wire.open_file(large.part, WRITE)]
        yield [_times(handle, one), wire.close(handle)]
        try:
            yield from self._settle(one.name, large.part)
        except RefusedError as refusal:
            # Somebody else may have sent the same version at the same time, and been faster.
            if refusal.code != NO_SUCH_FILE:
                raise
            (entry,) = yield [wire.look(self.target / one.name, follow=False)]
            if not _is_version(entry, one):
                raise DataError(
                    f"{one.path}: somebody else sends another version of it; try again"
                ) from refusal
        try:
            yield [wire.remove(large.journal)]
        except RefusedError:
            return


class _Large:
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


def _arrived(part: PurePosixPath, journal: PurePosixPath) -> Conversation:
    """The pieces that an attempt that was cut has left: their hashes, by where each begins."""
    try:
        (entry,) = yield [wire.look(part, follow=False)]
        content = yield from small.read(journal, 0)
    except RefusedError as refusal:
        if refusal.code != NO_SUCH_FILE:
            raise
        return {}
    found = parse_journal(content)
    return {start: digest for start, digest in found.items() if start < entry.size_bytes}


def _written(
    one: Original,
    handle: bytes,
    start: int,
    size: int,
    *,
    last: list[Request],
    update: Callable[[bytes], object] = len,
) -> Iterator[Request]:
    offset = start
    for chunk in one.read(start, size):
        update(chunk)
        yield wire.write(handle, offset, chunk)
        offset += len(chunk)
    yield from last


def _times(handle: bytes, one: Original) -> Request:
    # SFTP sets both or none. Scratch is often purged by the time of the last access, so that is now.
    return wire.set_times(handle, (time.time(), one.mtime_s))


def _only(request: Request) -> Conversation:
    yield [request]


def _clear(folder: PurePosixPath) -> Conversation:
    names = yield from list_folder(folder, missing_ok=True)
    yield [wire.remove(folder / name) for name, _ in names]
    yield [wire.remove_folder(folder)]


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.is_folder


def _is_version(entry: Entry | None, one: Original) -> bool:
    wanted = (one.size_bytes, min(max(one.mtime_s, 0), wire.LATEST_S))
    return entry is not None and entry.is_file and (entry.size_bytes, entry.mtime_s) == wanted


def _as_executable(mode: int, wanted: int) -> int:
    """The mode with the owner's wish for who may execute it: whoever may read it, or nobody."""
    mode &= 0o777
    if bool(mode & 0o100) == bool(wanted & 0o100):
        return mode
    return mode | (mode & 0o444) >> 2 if wanted & 0o100 else mode & ~0o111
