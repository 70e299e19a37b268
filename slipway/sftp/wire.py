"""SFTP's messages (version 3, as OpenSSH has it): requests to bytes, answers to values. Pure.

Names are text in which bytes that are not UTF-8 stand as surrogates, as Python has them for files here.
paramiko's own client raises ``UnicodeDecodeError`` for them, and mostly asks one thing at a time.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

INIT, VERSION = 1, 2
_OPEN, _CLOSE, _READ, _WRITE, _LSTAT, _SETSTAT, _FSETSTAT = 3, 4, 5, 6, 7, 9, 10
_OPENDIR, _READDIR, _REMOVE, _MKDIR, _RMDIR, _STAT, _READLINK, _SYMLINK = 11, 12, 13, 14, 15, 17, 19, 20
_EXTENDED = 200
_STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED_REPLY = 101, 102, 103, 104, 105, 201
_OK, _EOF = 0, 1
NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED = 2, 3, 4, 8
_HAS_SIZE, _HAS_OWNER, _HAS_MODE, _HAS_TIMES, _HAS_MORE = 1, 2, 4, 8, 0x80000000
READ, WRITE, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 8, 16, 32
LATEST_S = 0xFFFFFFFF

Place = str | PurePosixPath


class RefusedError(Exception):
    """The server will not do what was asked.

    Attributes:
        code: SFTP's own number for why; most reasons, such as a full disk, are only ``FAILURE``.
        path: what it was about, where that is known.
        changes: True where something was to be written or made.
        writes: True where a file's content was to be written.
    """

    def __init__(self, code: int, words: str, *, changes: bool = False, writes: bool = False) -> None:
        super().__init__(words)
        self.code = code
        self.words = words
        self.changes = changes
        self.writes = writes
        self.path: PurePosixPath | None = None


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What the server says of a file, folder or link; the time is in whole seconds."""

    mode: int
    size_bytes: int
    mtime_s: int

    @property
    def is_folder(self) -> bool:
        """True for a folder."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """True for a plain file."""
        return stat.S_ISREG(self.mode)

    @property
    def is_link(self) -> bool:
        """True for a symbolic link."""
        return stat.S_ISLNK(self.mode)


@dataclass(frozen=True, kw_only=True)
class Room:
    """How full a disk is: bytes and names that an ordinary user may still use."""

    free_bytes: int
    free_names: int


class Reader:
    """Reads a message from its beginning to its end."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self) -> int:
        """The next 32 bits."""
        self._at += 4
        value: int = struct.unpack_from(">I", self._content, self._at - 4)[0]
        return value

    def long(self) -> int:
        """The next 64 bits."""
        return self.number() << 32 | self.number()

    def string(self) -> bytes:
        """The next bytes, of which the number comes before."""
        size = self.number()
        self._at += size
        return self._content[self._at - size : self._at]

    def text(self) -> str:
        """The next bytes as a name or a path."""
        return self.string().decode("utf-8", "surrogateescape")

    @property
    def is_over(self) -> bool:
        """True at the end."""
        return self._at >= len(self._content)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One question to the server.

    Attributes:
        kind: the message's number.
        body: what follows the request's own number.
        parse: makes a value of an answer that is not just a status.
        at_end: the value where the server says that there is no more.
        size_bytes: of a file's content, what goes with it or comes back.
        changes: True where it writes or makes something.
    """

    kind: int
    body: bytes
    parse: Callable[[Reader], Any] | None = None
    at_end: Any = None
    size_bytes: int = 0
    changes: bool = True

    def answer(self, kind: int, reader: Reader) -> Any:
        """The value of an answer.

        Raises:
            RefusedError: the server will not do it.
        """
        if kind == _STATUS:
            code = reader.number()
            if code == _OK:
                return None
            if code == _EOF and not self.changes:
                return self.at_end
            words = "" if reader.is_over else reader.text()
            raise RefusedError(code, words, changes=self.changes, writes=self.kind == _WRITE)
        if self.parse is None or kind not in (_HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED_REPLY):
            raise RefusedError(FAILURE, f"an answer of kind {kind} to a request of kind {self.kind}")
        return self.parse(reader)


def open_file(path: Place, flags: int, mode: int | None = None) -> Request:
    """Open a file; the answer is its handle."""
    body = _text(path) + struct.pack(">I", flags) + _attributes(mode=mode)
    return Request(kind=_OPEN, body=body, parse=Reader.string, changes=bool(flags & WRITE))


def close(handle: bytes) -> Request:
    """Close a file or folder."""
    return Request(kind=_CLOSE, body=_string(handle))


def read(handle: bytes, offset: int, size_bytes: int) -> Request:
    """Read at most so much; the answer is the bytes, none at the end of the file."""
    body = _string(handle) + struct.pack(">QI", offset, size_bytes)
    return Request(
        kind=_READ, body=body, parse=Reader.string, at_end=b"", size_bytes=size_bytes, changes=False
    )


def write(handle: bytes, offset: int, content: bytes) -> Request:
    """Write at a place."""
    body = _string(handle) + struct.pack(">Q", offset) + _string(content)
    return Request(kind=_WRITE, body=body, size_bytes=len(content))


def look(path: Place, *, follow: bool) -> Request:
    """What a name is; the answer is an :class:`Entry`. With ``follow``, what a link leads to."""
    return Request(kind=_STAT if follow else _LSTAT, body=_text(path), parse=_entry, changes=False)


def set_attributes(
    path: Place, *, mode: int | None = None, times_s: tuple[float, float] | None = None
) -> Request:
    """Set modes, or the times of the last access and the last change, of a name; links are followed."""
    return Request(kind=_SETSTAT, body=_text(path) + _attributes(mode=mode, times_s=times_s))


def set_times(handle: bytes, times_s: tuple[float, float]) -> Request:
    """Set the times of the last access and the last change of an open file."""
    return Request(kind=_FSETSTAT, body=_string(handle) + _attributes(times_s=times_s))


def open_folder(path: Place) -> Request:
    """Open a folder; the answer is its handle."""
    return Request(kind=_OPENDIR, body=_text(path), parse=Reader.string, changes=False)


def read_folder(handle: bytes) -> Request:
    """Some more names; the answer is a list of pairs of name and :class:`Entry`, empty at the end."""
    return Request(kind=_READDIR, body=_string(handle), parse=_entries, at_end=[], changes=False)


def remove(path: Place) -> Request:
    """Remove a file or link."""
    return Request(kind=_REMOVE, body=_text(path))


def make_folder(path: Place, mode: int = 0o777) -> Request:
    """Make one folder; the server takes its umask from the mode."""
    return Request(kind=_MKDIR, body=_text(path) + _attributes(mode=mode))


def remove_folder(path: Place) -> Request:
    """Remove an empty folder."""
    return Request(kind=_RMDIR, body=_text(path))


def rename(old: Place, new: Place) -> Request:
    """Rename in one step, over what has the name."""
    return Request(kind=_EXTENDED, body=_string(b"posix-rename@openssh.com") + _text(old) + _text(new))


def read_link(path: Place) -> Request:
    """Where a link leads to, as it is written in it."""
    return Request(
        kind=_READLINK, body=_text(path), parse=lambda reader: _entries(reader)[0][0], changes=False
    )


def make_link(path: Place, target: str) -> Request:
    """Make a link. OpenSSH has the two in another order than the protocol's draft, and all follow it."""
    return Request(kind=_SYMLINK, body=_text(target) + _text(path))


def ask_room(path: Place) -> Request:
    """How full the disk of a folder is; the answer is a :class:`Room`."""
    return Request(
        kind=_EXTENDED, body=_string(b"statvfs@openssh.com") + _text(path), parse=_room, changes=False
    )


def copy(source: bytes, target: bytes, offset: int, size_bytes: int) -> Request:
    """Copy a range from one open file to the same place in another, on the server (OpenSSH since 9.0)."""
    body = _string(b"copy-data") + _string(source) + struct.pack(">QQ", offset, size_bytes)
    return Request(kind=_EXTENDED, body=body + _string(target) + struct.pack(">Q", offset))


def parse_version(content: bytes) -> dict[str, str]:
    """The server's extensions, by name, from what it says first."""
    reader = Reader(content)
    reader.number()
    extensions = {}
    while not reader.is_over:
        name = reader.text()
        extensions[name] = reader.text()
    return extensions


def pack(kind: int, content: bytes) -> bytes:
    """A message as it goes over the line."""
    return struct.pack(">IB", len(content) + 1, kind) + content


def _string(content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + content


def _text(text: Place) -> bytes:
    return _string(str(text).encode("utf-8", "surrogateescape"))


def _attributes(*, mode: int | None = None, times_s: tuple[float, float] | None = None) -> bytes:
    flags = (_HAS_MODE if mode is not None else 0) | (_HAS_TIMES if times_s is not None else 0)
    parts: Iterable[int] = [
        *([mode] if mode is not None else []),
        *(min(max(int(time_s), 0), LATEST_S) for time_s in times_s or ()),
    ]
    return b"".join(struct.pack(">I", part) for part in (flags, *parts))


def _entry(reader: Reader) -> Entry:
    flags = reader.number()
    size = reader.long() if flags & _HAS_SIZE else 0
    if flags & _HAS_OWNER:
        reader.long()
    mode = reader.number() if flags & _HAS_MODE else 0
    mtime = 0
    if flags & _HAS_TIMES:
        reader.number()
        mtime = reader.number()
    if flags & _HAS_MORE:
        for _ in range(2 * reader.number()):
            reader.string()
    return Entry(mode=mode, size_bytes=size, mtime_s=mtime)


def _entries(reader: Reader) -> list[tuple[str, Entry]]:
    found = []
    for _ in range(reader.number()):
        name = reader.text()
        reader.string()  # a line as `ls -l` prints it
        found.append((name, _entry(reader)))
    return found


def _room(reader: Reader) -> Room:
    # statvfs(3): unit, fragment; blocks, free ones, those for users; names, free ones, those for users.
    fields = [reader.long() for _ in range(8)]
    return Room(free_bytes=fields[4] * fields[1], free_names=fields[7] if fields[5] else 1 << 30)
