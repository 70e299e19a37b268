"""One channel on which the server answers SFTP, and conversations that take turns on it."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from slipway.sftp.turns import Conversation, Errand, Talk, Turns
from slipway.sftp.wire import Kind, Reader, Request, pack, parse_version

if TYPE_CHECKING:
    import paramiko

_VERSION = 3
_LONGEST_MESSAGE = 1 << 20
_IDLE_S = 0.01


class Session:
    """An SFTP session; used by one thread at a time.

    Attributes:
        sent_bytes: what went to the server.
        received_bytes: what came from there.
        extensions: what the server can do beyond the protocol.
        is_clean: False where answers are still to come that nobody waits for any more.
    """

    def __init__(self, channel: paramiko.Channel) -> None:
        """Greet the server; ``EOFError`` where none answers."""
        self.sent_bytes = 0
        self.received_bytes = 0
        self.is_clean = True
        self._channel = channel
        self._buffer = bytearray()
        self._number = 0
        self._send(pack(Kind.INIT, struct.pack(">I", _VERSION)))
        kind, content = self._message()
        if kind != Kind.VERSION:
            raise EOFError(f"what answers is not SFTP: a message of kind {kind}")
        self.extensions = parse_version(content)

    def ask(self, request: Request) -> Any:
        """Ask one thing.

        Raises:
            RefusedError: the server will not do it.
        """
        return self.hold(_single(request))

    def hold(self, conversation: Conversation) -> Any:
        """Have one conversation to its end, and return what it returns."""
        talk = Talk(conversation)
        with self._turns(lambda size_bytes: None) as turns:
            turns.begin(talk)
            while not talk.is_over:
                turns.turn()
        return talk.result

    def hold_all(
        self,
        errands: Iterable[Errand | None],
        on_moved: Callable[[int], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        """Have conversations, several at a time, until there are no more.

        Args:
            errands: the conversations; ``None`` among them means that there is none at the moment.
            on_moved: is told of each part of a file that has been moved, in bytes.
            is_stopped: ends it before that, in the middle of conversations.
        """
        source = iter(errands)
        with self._turns(on_moved, is_stopped) as turns:
            while not is_stopped():
                new = next(source, _NO_MORE) if turns.have_room else None
                if isinstance(new, Errand):
                    turns.begin(Talk(new.conversation, new.size_bytes))
                elif turns.go_on:
                    turns.turn()
                elif new is _NO_MORE:
                    return
                else:
                    time.sleep(_IDLE_S)

    @contextmanager
    def _turns(
        self, on_moved: Callable[[int], None], is_stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Turns]:
        turns = Turns(self, on_moved, is_stopped)
        try:
            yield turns
        finally:
            self.is_clean = not turns.waits

    def send(self, request: Request) -> int:
        """Send a request; returns the number that the answer will have."""
        self._number = (self._number + 1) & 0xFFFFFFFF
        self._send(pack(request.kind, struct.pack(">I", self._number) + request.body))
        return self._number

    def receive(self) -> tuple[int, int, Reader]:
        """Wait for an answer: its number, its kind, and the rest of it."""
        kind, content = self._message()
        reader = Reader(content)
        return reader.number(), kind, reader

    def close(self) -> None:
        """End the session."""
        self._channel.close()

    def _send(self, content: bytes) -> None:
        self._channel.sendall(content)
        self.sent_bytes += len(content)

    def _message(self) -> tuple[int, bytes]:
        size = struct.unpack(">I", self._take(4))[0]
        if not 0 < size <= _LONGEST_MESSAGE:
            raise EOFError(f"what answers is not SFTP: a message of {size} bytes")
        content = self._take(size)
        return content[0], content[1:]

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            chunk = self._channel.recv(1 << 16)
            if not chunk:
                raise EOFError("the file transfer was ended by the server")
            self.received_bytes += len(chunk)
            self._buffer += chunk
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content


_NO_MORE = object()


def _single(request: Request) -> Conversation:
    (answer,) = yield [request]
    return answer
