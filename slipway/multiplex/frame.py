"""What the process that keeps a connection and its clients tell each other, as bytes. Pure.

A client has one socket a channel, and one more for as long as it uses the connection. The first frame says
what the socket is for. A frame is its kind (1 byte), the length of its content (4 bytes, big endian), and
that.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

from slipway.jsontext import load_json

# Changes with the protocol, and is part of a socket's name: two versions of Slipway do not meet.
VERSION = 1
MOST_BYTES = 1 << 20
_HEAD = struct.Struct(">BI")


class Kind(IntEnum):
    """What a frame says."""

    # From a client: what the socket is for; what is wanted of a channel; bytes for it, and their end.
    HELLO = 1
    REQUEST = 2
    INPUT = 3
    INPUT_END = 4
    # To a client: it is so; it is not, and why; the server refuses a channel; the connection has been lost.
    DONE = 10
    FAILED = 11
    REFUSED = 12
    LOST = 13
    # To a client: bytes of the two outputs, the end of both, and the exit code.
    OUTPUT = 20
    ERRORS = 21
    OUTPUT_END = 22
    STATUS = 23


class MalformedFrameError(ValueError):
    """What came is no frame."""


def frame(kind: Kind, content: bytes = b"") -> bytes:
    """A frame as bytes."""
    return _HEAD.pack(kind, len(content)) + content


def message(kind: Kind, values: Mapping[str, Any] | None = None) -> bytes:
    """A frame that holds names with values."""
    return frame(kind, json.dumps(values or {}).encode("ascii"))


def values_of(content: bytes) -> dict[str, Any]:
    """The names with values that a frame holds.

    Raises:
        MalformedFrameError: it holds something else.
    """
    try:
        values = load_json(content)
    except ValueError as error:
        raise MalformedFrameError(str(error)) from error
    if not isinstance(values, dict):
        raise MalformedFrameError("no names with values")
    return values


class Decoder:
    """Frames of bytes that come in pieces."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, content: bytes) -> Iterator[tuple[Kind, bytes]]:
        """More bytes have come; the frames that are whole now.

        Raises:
            MalformedFrameError: this is none.
        """
        self._buffer += content
        while len(self._buffer) >= _HEAD.size:
            number, length = _HEAD.unpack_from(self._buffer)
            if length > MOST_BYTES:
                raise MalformedFrameError(f"a frame of {length} bytes")
            end = _HEAD.size + length
            if len(self._buffer) < end:
                return
            part = bytes(memoryview(self._buffer)[_HEAD.size : end])
            # Now, since nobody has to ask for the next one.
            del self._buffer[:end]
            yield _kind(number), part


def _kind(number: int) -> Kind:
    try:
        return Kind(number)
    except ValueError as error:
        raise MalformedFrameError(f"a frame of the unknown kind {number}") from error
