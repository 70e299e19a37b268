"""OpenSSH's PROTOCOL.mux, as far as sessions and ways to ports need it, as bytes. Pure.

A packet is its length, and then numbers and texts as SSH encodes them; the first number is the kind, the
second one of the client's choice, which comes back.
"""

from __future__ import annotations

import struct
from enum import IntEnum

VERSION = 4
REQUEST = 1
MOST_BYTES = 1 << 20
_NO_ESCAPE = 0xFFFFFFFF


class Kind(IntEnum):
    """What a packet says."""

    HELLO = 1
    NEW_SESSION = 0x10000002
    ALIVE_CHECK = 0x10000004
    NEW_STDIO_FORWARD = 0x10000008
    PERMISSION_DENIED = 0x80000002
    FAILURE = 0x80000003
    EXIT = 0x80000004
    ALIVE = 0x80000005
    SESSION_OPENED = 0x80000006
    NO_TERMINAL = 0x80000008


def hello() -> bytes:
    """The first packet, of either side."""
    return _packet(Kind.HELLO, VERSION)


def alive_check() -> bytes:
    """Asks for the master's process id."""
    return _packet(Kind.ALIVE_CHECK, REQUEST)


def new_session(command: str, *, subsystem: bool = False, term: str | None = None) -> bytes:
    """Asks for a program, a shell (no command) or a subsystem; three files follow.

    Args:
        command: for the login shell, or the subsystem's name.
        subsystem: it is one.
        term: what the terminal understands; ``None`` for no terminal.
    """
    wants_terminal = term is not None
    return _packet(
        Kind.NEW_SESSION,
        REQUEST,
        "",
        wants_terminal,
        False,
        False,
        subsystem,
        _NO_ESCAPE,
        term or "",
        command,
    )


def new_stdio_forward(host: str, port: int) -> bytes:
    """Asks for a way to a port, a number, whatever PROTOCOL.mux says; two files follow."""
    return _packet(Kind.NEW_STDIO_FORWARD, REQUEST, "", host, port)


def parse_packet(content: bytes) -> tuple[int, int, bytes]:
    """The kind, the second number, and what follows; a packet without its length.

    Raises:
        struct.error: it is too short.
    """
    kind, number = struct.unpack_from(">II", content)
    return kind, number, content[8:]


def parse_text(content: bytes) -> str:
    """A text."""
    return content[4 : 4 + parse_number(content)].decode("utf-8", "replace")


def parse_number(content: bytes) -> int:
    """A number.

    Raises:
        struct.error: there is none.
    """
    number: int = struct.unpack_from(">I", content)[0]
    return number


def _packet(*values: int | str) -> bytes:
    content = b""
    for value in values:
        text = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else None
        content += struct.pack(">I", int(value) if text is None else len(text)) + (text or b"")
    return struct.pack(">I", len(content)) + content
