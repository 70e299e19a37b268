"""A client's end of one channel of a kept connection, with the names of paramiko's own."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Any

from slipway.multiplex.frame import Decoder, Kind, MalformedFrameError, frame, message, values_of
from slipway.ssh.transport import ssh_error

if TYPE_CHECKING:
    from typing_extensions import Self

# As much as paramiko takes before it is read.
_MOST_BYTES = 1 << 21
_CHUNK_BYTES = 1 << 17
# How often whoever waits on the socket looks whether the channel was closed meanwhile.
TURN_S = 1.0


class KeptChannel:
    """See :class:`slipway.ssh.transport.Channel`.

    Args:
        connection: the socket, on which the channel has been opened; its time-out is ``TURN_S``.
        decoder: has read the socket so far.
    """

    def __init__(self, connection: socket.socket, decoder: Decoder) -> None:
        self._socket = connection
        self._decoder = decoder
        self._timeout_s: float | None = None
        self._news = threading.Condition()
        self._sending = threading.Lock()
        self._output, self._errors = bytearray(), bytearray()
        self._has_ended = False
        self._closed = False
        self._status: int | None = None
        self._replies: list[tuple[Kind, bytes]] = []
        threading.Thread(target=self._listen, daemon=True).start()

    @property
    def closed(self) -> bool:
        """True after its end on either side."""
        return self._closed

    def exec_command(self, command: str, /) -> None:
        """Start a command by the login shell."""
        self._ask({"want": "exec", "command": command})

    def invoke_subsystem(self, subsystem: str, /) -> None:
        """Start what the server has under this name."""
        self._ask({"want": "subsystem", "name": subsystem})

    def invoke_shell(self) -> None:
        """Start a login shell."""
        self._ask({"want": "shell"})

    def get_pty(self, term: str = "vt100", width: int = 80, height: int = 24) -> None:
        """Have a terminal of so many columns and lines."""
        self._ask({"want": "pty", "term": term, "width": width, "height": height})

    def resize_pty(self, width: int = 80, height: int = 24) -> None:
        """Say that the terminal has another size; nobody answers that."""
        self._send(message(Kind.REQUEST, {"want": "size", "width": width, "height": height}))

    def settimeout(self, timeout: float | None, /) -> None:
        """Wait for so many seconds at most; ``None`` for ever."""
        self._timeout_s = timeout

    def recv(self, nbytes: int, /) -> bytes:
        """Some of what comes, at most so much; nothing at its end."""
        return self._take(self._output, nbytes)

    def recv_stderr(self, nbytes: int, /) -> bytes:
        """Some of what a program prints on standard error; nothing at its end."""
        return self._take(self._errors, nbytes)

    def recv_ready(self) -> bool:
        """True where something has come."""
        return bool(self._output)

    def sendall(self, s: bytes, /) -> None:
        """Send all of it.

        Raises:
            OSError: the channel is closed.
            TimeoutError: nothing of it was taken for as long as :meth:`settimeout` says.
        """
        for start in range(0, len(s), _CHUNK_BYTES):
            self._send(frame(Kind.INPUT, s[start : start + _CHUNK_BYTES]))

    def shutdown_write(self) -> None:
        """Say that nothing more will be sent."""
        self._send(frame(Kind.INPUT_END))

    def exit_status_ready(self) -> bool:
        """True where the program has ended."""
        return self._closed or self._status is not None

    def recv_exit_status(self) -> int:
        """Wait for the program's end; -1 where there is no exit code."""
        with self._news:
            self._news.wait_for(self.exit_status_ready)
        return -1 if self._status is None else self._status

    def close(self) -> None:
        """End it; what is under way on it ends with an error."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._end()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _ask(self, values: dict[str, Any]) -> None:
        self._send(message(Kind.REQUEST, values))
        self._wait(lambda: bool(self._replies) or self._closed)
        if not self._replies:
            raise EOFError("the connection was lost")
        kind, content = self._replies.pop(0)
        if kind is not Kind.DONE:
            raise ssh_error()(str(values_of(content).get("text")))

    def _take(self, buffer: bytearray, nbytes: int) -> bytes:
        with self._news:
            self._wait(lambda: bool(buffer) or self._has_ended)
            taken = bytes(buffer[:nbytes])
            del buffer[:nbytes]
            self._news.notify_all()
        return taken

    def _wait(self, is_there: Callable[[], bool]) -> None:
        with self._news:
            if not self._news.wait_for(is_there, self._timeout_s):
                raise TimeoutError("no answer in time")

    def _send(self, content: bytes) -> None:
        view = memoryview(content)
        with self._sending:
            deadline = self._deadline()
            while view:
                if self._closed:
                    # Without a number, as paramiko has it: it is not an error of this machine.
                    raise OSError("Socket is closed")
                try:
                    view = view[self._socket.send(view) :]
                    deadline = self._deadline()
                except TimeoutError:
                    if time.monotonic() > deadline:
                        self.close()  # half a frame is sent
                        raise
                except OSError as error:
                    self._end()
                    raise OSError("Socket is closed") from error

    def _deadline(self) -> float:
        return time.monotonic() + (float("inf") if self._timeout_s is None else self._timeout_s)

    def _listen(self) -> None:
        with suppress(OSError, MalformedFrameError):
            while content := self._receive():
                for kind, part in self._decoder.feed(content):
                    self._hear(kind, part)
        self._end()
        # Whoever sends may hold the lock for a while yet, and notices that it is closed.
        with self._sending:
            self._socket.close()

    def _receive(self) -> bytes:
        while not self._closed:
            try:
                return self._socket.recv(_CHUNK_BYTES)
            except TimeoutError:
                continue
        return b""

    def _hear(self, kind: Kind, content: bytes) -> None:
        with self._news:
            if kind in (Kind.OUTPUT, Kind.ERRORS):
                # The keeper waits as long as this is full, and so does the server.
                self._news.wait_for(
                    lambda: len(self._output) + len(self._errors) < _MOST_BYTES or self._closed
                )
                buffer = self._output if kind is Kind.OUTPUT else self._errors
                buffer += content
            elif kind is Kind.OUTPUT_END:
                self._has_ended = True
            elif kind is Kind.STATUS:
                self._status = int(values_of(content)["code"])
            elif kind in (Kind.DONE, Kind.FAILED):
                self._replies.append((kind, content))
            self._news.notify_all()

    def _end(self) -> None:
        with self._news:
            self._closed = self._has_ended = True
            self._news.notify_all()
