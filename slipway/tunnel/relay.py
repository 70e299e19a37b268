"""Connections to a port of a node, over the standard streams of one program there.

For where sshd leads to no port: it forbids that, the login node does not reach the node's ports, or what is
wanted listens on the node's own 127.0.0.1. The program is ``relay_program.py``.
"""

from __future__ import annotations

import itertools
import struct
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.host.marked import MarkedProgram, start_marked
from slipway.tunnel import relay_program
from slipway.tunnel.relay_program import (
    CHUNK_BYTES,
    CLOSED,
    CREDIT,
    DATA,
    END,
    HEAD,
    OPEN,
    OPENED,
    WINDOW_BYTES,
)

_GREETING = b"slipway-relay\n"
_LONGEST_BYTES = 1 << 20
_PATIENCE_S = 10
_PYTHONS = "python3 /usr/libexec/platform-python"


def relay_command(port: int) -> list[str]:
    """The argv of the program, on whichever Python is there; 127 where there is none."""
    text = Path(relay_program.__file__).read_text(encoding="utf-8")
    find = f'for one in {_PYTHONS}; do command -v "$one" >/dev/null && exec "$one" -c "$@"; done; exit 127'
    return ["sh", "-c", find, "slipway", text, str(port)]


def message(kind: int, number: int, content: bytes = b"") -> bytes:
    """One message."""
    return HEAD.pack(kind, number, len(content)) + content


class RelayChannel:
    """One connection, with the names that a channel of the SSH connection has."""

    def __init__(self, say: Callable[[int, bytes], None]) -> None:
        self._say = say
        self._news = threading.Condition()
        self._content = bytearray()
        self._is_open = False
        self._has_ended = False
        self._is_closed = False
        self._owed = 0

    def wait_until_open(self, timeout_s: float) -> bool:
        """Wait for the connection; false where there is none."""
        with self._news:
            self._news.wait_for(lambda: self._is_open or self._is_closed, timeout_s)
            return self._is_open and not self._is_closed

    def recv(self, nbytes: int) -> bytes:
        """Some of what comes; nothing at its end."""
        with self._news:
            self._news.wait_for(lambda: self._content or self._has_ended or self._is_closed)
            taken = bytes(self._content[:nbytes])
            del self._content[:nbytes]
        if taken:
            self._say(CREDIT, struct.pack(">I", len(taken)))
        return taken

    def sendall(self, content: bytes) -> None:
        """Send all of it.

        Raises:
            OSError: the connection has ended.
        """
        for start in range(0, len(content), CHUNK_BYTES):
            part = content[start : start + CHUNK_BYTES]
            with self._news:
                self._news.wait_for(lambda: self._owed < WINDOW_BYTES or self._is_closed)
                if self._is_closed:
                    raise OSError("the connection has ended")
                self._owed += len(part)
            self._say(DATA, part)

    def shutdown_write(self) -> None:
        """Send nothing more."""
        self._say(END, b"")

    def close(self) -> None:
        """End it."""
        if not self._is_closed:
            self._say(CLOSED, b"")
            self.hear(CLOSED, b"")

    def hear(self, kind: int, content: bytes) -> None:
        """Take a message of the other end."""
        with self._news:
            if kind == OPENED:
                self._is_open = True
            elif kind == DATA:
                self._content += content
            elif kind == CREDIT:
                self._owed -= int(struct.unpack(">I", content)[0])
            elif kind == END:
                self._has_ended = True
            elif kind == CLOSED:
                self._is_closed = True
            self._news.notify_all()


class Relay:
    """The program there, and all connections over it."""

    def __init__(self, program: MarkedProgram) -> None:
        self._program = program
        self._numbers = itertools.count(1)
        self._channels: dict[int, RelayChannel] = {}
        self._sending = threading.Lock()
        self.is_over = False

    def open(self, timeout_s: float = 20) -> RelayChannel | None:
        """A connection to the port; ``None`` where nothing answers there.

        Raises:
            OSError: the program there has ended.
        """
        number = next(self._numbers)
        channel = RelayChannel(lambda kind, content: self._say(kind, number, content))
        self._channels[number] = channel
        self._say(OPEN, number, b"")
        if self.is_over or not channel.wait_until_open(timeout_s):
            self._channels.pop(number, None)
            channel.close()
            return None
        return channel

    def listen(self, chunks: Iterator[bytes], seen: bytes) -> None:
        """Hand on what comes, until the program there ends."""
        try:
            # A connection that is lost is noticed by whoever asks for the next one.
            with suppress(OSError, EOFError):
                rest = self._take(seen)
                for content in chunks:
                    rest = self._take(rest + content)
        finally:
            self.is_over = True
            for channel in [*self._channels.values()]:
                channel.hear(CLOSED, b"")

    def _take(self, buffer: bytes) -> bytes:
        place = 0
        while len(buffer) - place >= HEAD.size:
            kind, number, size = HEAD.unpack_from(buffer, place)
            if kind > CREDIT or size > _LONGEST_BYTES:
                raise OSError("what comes is no message of the relay")
            end = place + HEAD.size + size
            if len(buffer) < end:
                break
            if (channel := self._channels.get(number)) is not None:
                channel.hear(kind, buffer[place + HEAD.size : end])
            if kind == CLOSED:
                self._channels.pop(number, None)
            place = end
        return buffer[place:]

    def _say(self, kind: int, number: int, content: bytes) -> None:
        with self._sending:
            if not self.is_over:
                self._program.send(message(kind, number, content))


@contextmanager
def open_relay(host: Host, port: int, within: Callable[[Sequence[str]], Sequence[str]]) -> Iterator[Relay]:
    """A relay to a port.

    Args:
        host: the login node.
        port: the port.
        within: the argv by which an argv is started where the port is.

    Raises:
        RemoteError: it does not begin.
        ConnectionLostError: the connection was lost.
    """
    with start_marked(host, relay_command(port), within) as program:
        said: list[bytes] = []
        errors = threading.Thread(target=lambda: said.extend(program.errors()), daemon=True)
        errors.start()
        seen = _greeting(program)
        if seen is None:
            code = program.exit_code()
            errors.join(_PATIENCE_S)
            raise _no_relay(host, code, b"".join(said)) if program.has_login else program.no_begin()
        relay = Relay(program)
        reader = threading.Thread(target=relay.listen, args=(program.output(), seen), daemon=True)
        reader.start()
        try:
            yield relay
        finally:
            relay.is_over = True
            program.close()


def _greeting(program: MarkedProgram) -> bytes | None:
    """Wait for the program's first line; returns what has come behind it, or ``None`` where it ends."""
    if not program.wait_for_begin():
        return None
    seen = b""
    for chunk in program.output():
        seen += chunk
        if _GREETING in seen:
            return seen.partition(_GREETING)[2]
    return None


def _no_relay(host: Host, code: int, said: bytes) -> RemoteError:
    words = " ".join(said.decode(errors="replace").split())
    if code == 127 and not words:
        words = "there is no Python"
    return RemoteError(f"{host.target}: no program that leads to the port could be started there: {words}")
