"""One channel on which the server answers SFTP, and conversations that take turns on it."""

from __future__ import annotations

import struct
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

from slipway.sftp.pipeline import Operation, Pipeline, QueuedOperation, RunningOperation
from slipway.sftp.wire import Kind, MalformedError, Reader, Request, find_greeting, pack, parse_version

if TYPE_CHECKING:
    from slipway.ssh.transport import Channel

_VERSION = 3
_LONGEST_MESSAGE = 1 << 20
_IDLE_S = 0.01


class NoGreetingError(EOFError):
    """No SFTP server has answered.

    Attributes:
        text: what came in its place.
    """

    def __init__(self, why: str, text: bytes) -> None:
        super().__init__(why)
        self.text = text


class Session:
    """An SFTP session; used by one thread at a time.

    Attributes:
        sent_bytes: what went to the server.
        received_bytes: what came from there.
        extensions: what the server can do beyond the protocol.
        is_clean: False where answers are still to come that nobody waits for any more.
    """

    def __init__(self, channel: Channel) -> None:
        """Greet the server.

        What its login shell prints before it is no part of the protocol, and is passed over.

        Raises:
            NoGreetingError: none answers.
        """
        self.sent_bytes = 0
        self.received_bytes = 0
        self.is_clean = True
        self._channel = channel
        self._buffer = bytearray()
        self._number = 0
        # A login shell that has ended takes nothing any more; what it has printed is still to be read.
        with suppress(OSError):
            self._send(pack(Kind.INIT, struct.pack(">I", _VERSION)))
        self._wait_for_greeting()
        try:
            self.extensions = parse_version(self._message()[1])
        except MalformedError as error:
            raise NoGreetingError(str(error), b"") from error

    def _wait_for_greeting(self) -> None:
        """Drop what comes before the server's first message."""
        seen = bytes(self._buffer)
        try:
            while (start := find_greeting(seen)) is None:
                if len(seen) > _LONGEST_MESSAGE:
                    raise MalformedError("what answers is a text without end")
                self._receive()
                seen = bytes(self._buffer)
        except (EOFError, MalformedError, TimeoutError) as error:
            raise NoGreetingError(str(error) or "nothing more comes", seen.partition(b"\0")[0]) from error
        del self._buffer[:start]

    def ask(self, request: Request) -> Any:
        """Ask one thing.

        Raises:
            RefusedError: the server will not do it.
        """
        return self.run_operation(_single(request))

    def run_operation(self, operation: Operation) -> Any:
        """Have one conversation to its end, and return what it returns."""
        running = RunningOperation(operation)
        with self._pipeline(lambda size_bytes: None) as pipeline:
            pipeline.begin(running)
            while not running.is_over:
                pipeline.step()
        return running.result

    def run_operations(
        self,
        operations: Iterable[QueuedOperation | None],
        on_moved: Callable[[int], None],
        is_stopped: Callable[[], bool],
    ) -> None:
        """Have conversations, several at a time, until there are no more.

        Args:
            operations: the conversations; ``None`` among them means that there is none at the moment.
            on_moved: is told of each part of a file that has been moved, in bytes.
            is_stopped: ends it before that, in the middle of conversations.
        """
        source = iter(operations)
        with self._pipeline(on_moved, is_stopped) as pipeline:
            while not is_stopped():
                new = next(source, _NO_MORE) if pipeline.have_room else None
                if isinstance(new, QueuedOperation):
                    pipeline.begin(RunningOperation(new.operation, new.size_bytes))
                elif pipeline.go_on:
                    pipeline.step()
                elif new is _NO_MORE:
                    return
                else:
                    time.sleep(_IDLE_S)

    @contextmanager
    def _pipeline(
        self, on_moved: Callable[[int], None], is_stopped: Callable[[], bool] = lambda: False
    ) -> Iterator[Pipeline]:
        pipeline = Pipeline(self, on_moved, is_stopped)
        try:
            yield pipeline
        finally:
            self.is_clean = not pipeline.waits

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
            raise MalformedError(f"a message of {size} bytes in the file transfer")
        content = self._take(size)
        return content[0], content[1:]

    def _take(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._receive()
        content = bytes(self._buffer[:size])
        del self._buffer[:size]
        return content

    def _receive(self) -> None:
        chunk = self._channel.recv(1 << 16)
        if not chunk:
            raise EOFError("the file transfer was ended by the server")
        self.received_bytes += len(chunk)
        self._buffer += chunk


_NO_MORE = object()


def _single(request: Request) -> Operation:
    (answer,) = yield [request]
    return answer
