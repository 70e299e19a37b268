"""Sending: the conversations that bring folders, files and links to the cluster."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from slipway.errors import DataError
from slipway.sftp import fxp
from slipway.sftp.listing import PARTIAL, Listing, list_folder
from slipway.sftp.pipeline import Operation
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
from slipway.transfer.sftp.journal import PIECE_BYTES, identity, line, pieces, place
from slipway.transfer.sftp.large_file import Large, find_arrived, write_range, write_times
from slipway.transfer.sftp.local_file import Original, as_executable, explain, is_version
from slipway.transfer.sftp.upload_plan import Plan

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
        partial: skip files here that cannot be read, or change meanwhile; otherwise the first one ends all.
    """

    def __init__(
        self,
        plan: Plan,
        target: PurePosixPath,
        there: Listing,
        *,
        add: Callable[[Operation, int], None],
        tell: Callable[[int], None],
        old: tuple[PurePosixPath, Listing] | None = None,
        partial: bool = False,
    ) -> None:
        self.plan = plan
        self.skipped = dict(plan.skipped)
        self.target = target
        self.there = there
        self.partial = target / PARTIAL
        self.own = self.partial / secrets.token_hex(8)
        self._add = add
        self._tell = tell
        self._old = old
        self._partial = partial
        self._numbers = iter(range(1 << 62))

    def is_same(self, one: Original) -> bool:
        """True where the file is there with the same size and time."""
        return is_version(self.there.get(one.name), one)

    @property
    def to_send(self) -> list[Original]:
        """The files that are not there as they are here."""
        return [one for one in self.plan.files.values() if not self.is_same(one)]

    def levels(self) -> Iterator[list[Operation]]:
        """What makes the folders: those on one level at once, as each needs the one that it lies in."""
        names = [name for name in self.plan.folders if not _is_folder(self.there.get(name))]
        for depth in sorted({name.count("/") for name in names}):
            yield [self._about(name, self._make_folder(name)) for name in names if name.count("/") == depth]
        if self.to_send or self.plan.links:
            yield [self._about("", self._make(self.partial))]
            yield [self._about("", self._make(self.own))]

    def contents(self) -> Iterator[tuple[Operation, int]]:
        """What brings the files and the links, and how many bytes each conversation moves itself."""
        for one in self.plan.files.values():
            entry = self.there.get(one.name)
            if self.is_same(one):
                mode = as_executable(entry.mode, one.mode) if entry else one.mode
                if entry and mode != entry.mode & 0o777:
                    request = fxp.set_attributes(self.target / one.name, mode=mode)
                    yield self._about(one.name, _only(request)), 0
            elif one.size_bytes > PIECE_BYTES:
                yield self._about(one.name, self._begin_large(one)), 0
            else:
                yield self._about(one.name, self._put(one)), one.size_bytes
        for name, target in self.plan.links.items():
            yield self._about(name, self._put_link(name, target)), 0

    def times(self) -> Iterator[Operation]:
        """What gives the folders their times, after their content has come."""
        for name, (_, mtime_s) in self.plan.folders.items():
            request = fxp.set_attributes(self.target / name, times_s=(time.time(), mtime_s))
            yield self._about(name, _only(request))

    def tidy(self) -> Operation:
        """Remove what is needed no more, and what was left for more than a day; it never fails."""
        try:
            yield [fxp.remove_folder(self.own), fxp.remove_folder(self.partial)]
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
                    yield [fxp.remove(path)]
            yield [fxp.remove_folder(self.partial)]
        except RefusedError:
            return

    def _about(self, name: str, operation: Operation) -> Operation:
        try:
            return (yield from operation)
        except RefusedError as refusal:
            refusal.path = refusal.path or self.target / name
            raise
        except DataError as error:
            if not self._partial or isinstance(error.__cause__, RefusedError):
                raise
            self.skipped.setdefault(name, explain(error))

    def _make_folder(self, name: str) -> Operation:
        entry, path = self.there.get(name), self.target / name
        if entry is not None:
            yield [fxp.remove(path)]  # a file or a link, which is not followed
        mode = self.plan.folders[name][0] & 0o777 | 0o700
        yield from self._make(path, mode)

    def _make(self, path: PurePosixPath, mode: int = 0o777) -> Operation:
        try:
            yield [fxp.make_folder(path, mode)]
        except RefusedError as refusal:
            # Somebody else may have made it in the meantime.
            if refusal.code != FAILURE:
                raise
            try:
                (entry,) = yield [fxp.look(path, follow=False)]
            except RefusedError:
                raise refusal from None
            if not entry.is_folder:
                raise

    def _put(self, one: Original) -> Operation:
        part = self.own / str(next(self._numbers))
        if (yield from self._copied(one, part)):
            self._tell(one.size_bytes)
        else:
            (handle,) = yield [fxp.open_file(part, WRITE | CREATE | EXCLUSIVE, one.mode & 0o777 | 0o600)]
            last = [write_times(handle, one), fxp.close(handle)]
            yield from _closing(handle, write_range(one, handle, 0, one.size_bytes, last=last))
        yield from self._settle(one.name, part)

    def _copied(self, one: Original, part: PurePosixPath) -> Operation:
        """Copy an earlier version on the server, where that is the same; says whether it was done."""
        folder, listing = self._old or (self.target, {})
        if not is_version(listing.get(one.name), one):
            return False
        try:
            (source,) = yield [fxp.open_file(folder / one.name, READ)]
            (handle,) = yield [fxp.open_file(part, WRITE | CREATE, one.mode & 0o777 | 0o600)]
            for start in range(0, one.size_bytes, _COPY_BYTES):
                yield [fxp.copy(source, handle, start, min(_COPY_BYTES, one.size_bytes - start))]
            yield [write_times(handle, one), fxp.close(handle), fxp.close(source)]
        except RefusedError:
            try:
                yield [fxp.remove(part)]  # it may be half of it
            except RefusedError:
                return False
            return False
        return True

    def _settle(self, name: str, part: PurePosixPath) -> Operation:
        path = self.target / name
        if _is_folder(self.there.get(name)):
            yield [fxp.remove_folder(path)]
        yield [fxp.rename(part, path)]

    def _put_link(self, name: str, target: str) -> Operation:
        entry = self.there.get(name)
        if entry is not None and entry.is_link:
            (now,) = yield [fxp.read_link(self.target / name)]
            if now == target:
                return
        part = self.own / str(next(self._numbers))
        yield [fxp.make_link(part, target)]
        yield from self._settle(name, part)

    def _begin_large(self, one: Original) -> Operation:
        part = self.partial / identity(one.name, one.size_bytes, one.mtime_s)
        if (yield from self._copied(one, part)):
            self._tell(one.size_bytes)
            yield from self._settle(one.name, part)
            return
        large = Large(one, part, (yield from find_arrived(part, part.with_name(f"{part.name}.journal"))))
        (handle,) = yield [fxp.open_file(part, WRITE | CREATE, one.mode & 0o777 | 0o600)]
        yield [fxp.close(handle)]
        for start, size in pieces(one.size_bytes):
            self._add(self._about(one.name, self._piece(large, start, size)), size)

    def _piece(self, large: Large, start: int, size: int) -> Operation:
        one = large.one
        if one.name in self.skipped:
            return
        if start in large.arrived and one.digest(start, size) == large.arrived[start]:
            self._tell(size)
        else:
            (handle,) = yield [fxp.open_file(large.part, WRITE)]
            sha256 = hashlib.sha256()
            last = [fxp.close(handle)]
            requests = write_range(one, handle, start, size, last=last, update=sha256.update)
            yield from _closing(handle, requests)
            (handle,) = yield [fxp.open_file(large.journal, WRITE | CREATE)]
            yield [fxp.write(handle, place(start), line(sha256.hexdigest())), fxp.close(handle)]
        if large.is_last(start):
            yield from self._end_large(large)

    def _end_large(self, large: Large) -> Operation:
        one = large.one
        (handle,) = yield [fxp.open_file(large.part, WRITE)]
        yield [write_times(handle, one), fxp.close(handle)]
        try:
            yield from self._settle(one.name, large.part)
        except RefusedError as refusal:
            # Somebody else may have sent the same version at the same time, and been faster.
            if refusal.code != NO_SUCH_FILE:
                raise
            (entry,) = yield [fxp.look(self.target / one.name, follow=False)]
            if not is_version(entry, one):
                raise DataError(
                    f"{one.path}: somebody else sends another version of it; try again"
                ) from refusal
        try:
            yield [fxp.remove(large.journal)]
        except RefusedError:
            return


def _closing(handle: bytes, requests: Iterator[Request]) -> Operation:
    """Write what a file here has; where that cannot be read, the one there is closed all the same."""
    try:
        yield requests
    except DataError:
        yield [fxp.close(handle)]
        raise


def _only(request: Request) -> Operation:
    yield [request]


def _clear(folder: PurePosixPath) -> Operation:
    names = yield from list_folder(folder, missing_ok=True)
    yield [fxp.remove(folder / name) for name, _ in names]
    yield [fxp.remove_folder(folder)]


def _is_folder(entry: Entry | None) -> bool:
    return entry is not None and entry.is_folder
