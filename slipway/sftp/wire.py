"""SFTP's messages (version 3, as OpenSSH has it): requests to bytes, answers to values. Pure.

Names are text in which bytes that are not UTF-8 stand as surrogates, as Python has them for files here.
paramiko's own client raises ``UnicodeDecodeError`` for them, and mostly asks one thing at a time.
"""

from __future__ import annotations

import stat
import struct
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from pathlib import PurePosixPath
from typing import Any

from slipway.errors import ParseError

# SSH_FXE_STATVFS_ST_RDONLY, in OpenSSH's PROTOCOL.
_READ_ONLY = 1


class Kind(IntEnum):
    """The numbers of requests."""

    INIT = 1
    VERSION = 2
    OPEN = 3
    CLOSE = 4
    READ = 5
    WRITE = 6
    LSTAT = 7
    SETSTAT = 9
    FSETSTAT = 10
    OPENDIR = 11
    READDIR = 12
    REMOVE = 13
    MKDIR = 14
    RMDIR = 15
    STAT = 17
    READLINK = 19
    SYMLINK = 20
    EXTENDED = 200


_STATUS, _HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED_REPLY = 101, 102, 103, 104, 105, 201
_OK, _EOF = 0, 1
NO_SUCH_FILE, PERMISSION_DENIED, FAILURE, UNSUPPORTED = 2, 3, 4, 8
HAS_SIZE, HAS_OWNER, HAS_MODE, HAS_TIMES, HAS_MORE = 1, 2, 4, 8, 0x80000000
READ, WRITE, CREATE, TRUNCATE, EXCLUSIVE = 1, 2, 8, 16, 32
LATEST_S = 0xFFFFFFFF
# Bytes of a file in one message; every server takes so many.
CHUNK_BYTES = 32 << 10

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

    @property
    def reason(self) -> str:
        """Why, in a few words."""
        plain = {NO_SUCH_FILE: "it went away meanwhile", PERMISSION_DENIED: "Permission denied"}
        return plain.get(self.code) or self.words or f"SFTP's code {self.code}"


class MalformedError(ParseError):
    """What the server sent is no message of the protocol, or one that is cut short."""


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
    """How full a disk is: bytes and names that an ordinary user may still use; whether it is read-only."""

    free_bytes: int
    free_names: int
    is_read_only: bool = False


class Reader:
    """Reads a message from its beginning to its end; ``MalformedError`` where it is over too soon."""

    def __init__(self, content: bytes) -> None:
        self._content = content
        self._at = 0

    def number(self) -> int:
        """The next 32 bits."""
        return int.from_bytes(self._take(4), "big")

    def long(self) -> int:
        """The next 64 bits."""
        return int.from_bytes(self._take(8), "big")

    def string(self) -> bytes:
        """The next bytes, of which the number comes before."""
        return self._take(self.number())

    def text(self) -> str:
        """The next bytes as a name or a path."""
        return self.string().decode("utf-8", "surrogateescape")

    @property
    def is_over(self) -> bool:
        """True at the end."""
        return self._at >= len(self._content)

    def _take(self, size: int) -> bytes:
        taken = self._content[self._at : self._at + size]
        if len(taken) < size:
            raise MalformedError(f"a message of the file transfer ends after {len(self._content)} bytes")
        self._at += size
        return taken


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
            MalformedError: that is no answer to this.
        """
        if kind == _STATUS:
            code = reader.number()
            if code == _OK and self.parse is None:
                return None
            if code == _EOF and self.at_end is not None:
                return self.at_end
            if code == _OK:
                raise MalformedError(
                    f"the file transfer's answer to a request of kind {self.kind} has no content"
                )
            words = "" if reader.is_over else reader.text()
            raise RefusedError(code, words, changes=self.changes, writes=self.kind == Kind.WRITE)
        if self.parse is None or kind not in (_HANDLE, _DATA, _NAME, _ATTRS, _EXTENDED_REPLY):
            raise RefusedError(FAILURE, f"an answer of kind {kind} to a request of kind {self.kind}")
        return self.parse(reader)


def parse_version(content: bytes) -> dict[str, str]:
    """The server's extensions, by name, from what it says first."""
    reader = Reader(content)
    reader.number()
    extensions = {}
    while not reader.is_over:
        name = reader.text()
        extensions[name] = reader.text()
    return extensions


def find_greeting(received: bytes) -> int | None:
    """Where the server's first message begins, behind what its login shell may have printed.

    Returns:
        ``None`` where it has not come yet.

    Raises:
        MalformedError: what came is no such message.
    """
    # A text has no zero byte, and the message's length begins with one.
    start = received.find(b"\0")
    if start < 0 or len(received) - start < 5:
        return None
    if received[start + 4] != Kind.VERSION:
        raise MalformedError(f"what answers is not SFTP: a message of kind {received[start + 4]}")
    return start


def pack(kind: int, content: bytes) -> bytes:
    """A message as it is sent."""
    return struct.pack(">IB", len(content) + 1, kind) + content


def string(content: bytes) -> bytes:
    """Bytes, with their number before them."""
    return struct.pack(">I", len(content)) + content


def name(place: Place) -> bytes:
    """A name or a path."""
    return string(str(place).encode("utf-8", "surrogateescape"))


def read_entry(reader: Reader) -> Entry:
    """What the server says of one name."""
    flags = reader.number()
    size = reader.long() if flags & HAS_SIZE else 0
    if flags & HAS_OWNER:
        reader.long()
    mode = reader.number() if flags & HAS_MODE else 0
    mtime = 0
    if flags & HAS_TIMES:
        reader.number()
        mtime = reader.number()
    if flags & HAS_MORE:
        for _ in range(2 * reader.number()):
            reader.string()
    return Entry(mode=mode, size_bytes=size, mtime_s=mtime)


def read_entries(reader: Reader) -> list[tuple[str, Entry]]:
    """Names, each with what it is."""
    found = []
    for _ in range(reader.number()):
        name = reader.text()
        reader.string()  # a line as `ls -l` prints it
        found.append((name, read_entry(reader)))
    return found


def read_target(reader: Reader) -> str:
    """Where a link leads to."""
    found = read_entries(reader)
    if len(found) != 1:
        raise MalformedError(f"{len(found)} answers to where a link leads to")
    return found[0][0]


def read_room(reader: Reader) -> Room:
    """How full a disk is."""
    # statvfs(3): unit, fragment; blocks, free ones, those for users; names, likewise; id, flags.
    fields = [reader.long() for _ in range(10)]
    return Room(
        free_bytes=fields[4] * fields[1],
        free_names=fields[7] if fields[5] else 1 << 30,
        is_read_only=bool(fields[9] & _READ_ONLY),
    )
