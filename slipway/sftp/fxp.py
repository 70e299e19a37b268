"""What can be asked of an SFTP server: one function a request. Pure."""

from __future__ import annotations

import struct
from collections.abc import Iterable

from slipway.sftp.wire import (
    HAS_MODE,
    HAS_TIMES,
    LATEST_S,
    WRITE,
    Kind,
    Place,
    Reader,
    Request,
    name,
    read_entries,
    read_entry,
    read_room,
    read_target,
    string,
)


def open_file(path: Place, flags: int, mode: int | None = None) -> Request:
    """Open a file; the answer is its handle."""
    body = name(path) + struct.pack(">I", flags) + _attributes(mode=mode)
    return Request(kind=Kind.OPEN, body=body, parse=Reader.string, changes=bool(flags & WRITE))


def close(handle: bytes) -> Request:
    """Close a file or folder."""
    return Request(kind=Kind.CLOSE, body=string(handle))


def read(handle: bytes, offset: int, size_bytes: int) -> Request:
    """Read at most so much; the answer is the bytes, none at the end of the file."""
    body = string(handle) + struct.pack(">QI", offset, size_bytes)
    return Request(
        kind=Kind.READ, body=body, parse=Reader.string, at_end=b"", size_bytes=size_bytes, changes=False
    )


def write(handle: bytes, offset: int, content: bytes) -> Request:
    """Write at a place."""
    body = string(handle) + struct.pack(">Q", offset) + string(content)
    return Request(kind=Kind.WRITE, body=body, size_bytes=len(content))


def look(path: Place, *, follow: bool) -> Request:
    """What a name is; the answer is an :class:`Entry`. With ``follow``, what a link leads to."""
    return Request(kind=Kind.STAT if follow else Kind.LSTAT, body=name(path), parse=read_entry, changes=False)


def set_attributes(
    path: Place, *, mode: int | None = None, times_s: tuple[float, float] | None = None
) -> Request:
    """Set modes, or the times of the last access and the last change, of a name; links are followed."""
    return Request(kind=Kind.SETSTAT, body=name(path) + _attributes(mode=mode, times_s=times_s))


def set_times(handle: bytes, times_s: tuple[float, float]) -> Request:
    """Set the times of the last access and the last change of an open file."""
    return Request(kind=Kind.FSETSTAT, body=string(handle) + _attributes(times_s=times_s))


def open_folder(path: Place) -> Request:
    """Open a folder; the answer is its handle."""
    return Request(kind=Kind.OPENDIR, body=name(path), parse=Reader.string, changes=False)


def read_folder(handle: bytes) -> Request:
    """Some more names; the answer is a list of pairs of name and :class:`Entry`, empty at the end."""
    return Request(kind=Kind.READDIR, body=string(handle), parse=read_entries, at_end=[], changes=False)


def remove(path: Place) -> Request:
    """Remove a file or link."""
    return Request(kind=Kind.REMOVE, body=name(path))


def make_folder(path: Place, mode: int = 0o777) -> Request:
    """Make one folder; the server takes its umask from the mode."""
    return Request(kind=Kind.MKDIR, body=name(path) + _attributes(mode=mode))


def remove_folder(path: Place) -> Request:
    """Remove an empty folder."""
    return Request(kind=Kind.RMDIR, body=name(path))


def rename(old: Place, new: Place) -> Request:
    """Rename in one step, over what has the name."""
    return Request(kind=Kind.EXTENDED, body=string(b"posix-rename@openssh.com") + name(old) + name(new))


def read_link(path: Place) -> Request:
    """Where a link leads to, as it is written in it."""
    return Request(kind=Kind.READLINK, body=name(path), parse=read_target, changes=False)


def make_link(path: Place, target: str) -> Request:
    """Make a link. OpenSSH has the two in another order than the protocol's draft, and all follow it."""
    return Request(kind=Kind.SYMLINK, body=name(target) + name(path))


def ask_room(path: Place) -> Request:
    """How full the disk of a folder is; the answer is a :class:`Room`."""
    return Request(
        kind=Kind.EXTENDED, body=string(b"statvfs@openssh.com") + name(path), parse=read_room, changes=False
    )


def copy(source: bytes, target: bytes, offset: int, size_bytes: int) -> Request:
    """Copy a range from one open file to the same place in another, on the server (OpenSSH since 9.0)."""
    body = string(b"copy-data") + string(source) + struct.pack(">QQ", offset, size_bytes)
    return Request(kind=Kind.EXTENDED, body=body + string(target) + struct.pack(">Q", offset))


def _attributes(*, mode: int | None = None, times_s: tuple[float, float] | None = None) -> bytes:
    flags = (HAS_MODE if mode is not None else 0) | (HAS_TIMES if times_s is not None else 0)
    parts: Iterable[int] = [
        *([mode] if mode is not None else []),
        *(min(max(int(time_s), 0), LATEST_S) for time_s in times_s or ()),
    ]
    return b"".join(struct.pack(">I", part) for part in (flags, *parts))
