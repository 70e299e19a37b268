"""One session on a connection that OpenSSH keeps, with the names of paramiko's own channel."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

from slipway.multiplex import openssh_wire as wire

if TYPE_CHECKING:
    from typing_extensions import Self

# Has the master open a session with these files; gives the socket on which it tells of the session's end.
Start = Callable[[bytes, Sequence[int]], socket.socket]


class MasterChannel:
    """See :class:`slipway.ssh.transport.Channel`.

    Args:
        start: has the master open a session.
        master: its process, which is told of a new size of the terminal by a signal, as ssh does it.
    """

    def __init__(self, start: Start, master: int) -> None:
        self._start = start
        self._master = master
        self._term: str | None = None
        self._size = (80, 24)
        self._terminal: int | None = None
        self._input, self._output, self._errors = (_Pair() for _ in range(3))
        self._line: socket.socket | None = None
        self._timeout_s: float | None = None
        self._closed = False
        self._ended = threading.Event()
        self._status = -1

    @property
    def closed(self) -> bool:
        """True after its end on this side."""
        return self._closed

    def exec_command(self, command: str, /) -> None:
        """Start a command by the login shell."""
        self._open(wire.new_session(command, term=self._term))

    def invoke_subsystem(self, subsystem: str, /) -> None:
        """Start what the server has under this name."""
        self._open(wire.new_session(subsystem, subsystem=True))

    def invoke_shell(self) -> None:
        """Start a login shell."""
        self._open(wire.new_session("", term=self._term))

    def open_way(self, host: str, port: int) -> None:
        """Have it lead to a port."""
        self._errors.there.close()
        self._begin(self._start(wire.new_stdio_forward(host, port), self._files()[:2]))

    def get_pty(self, term: str = "vt100", width: int = 80, height: int = 24) -> None:
        """Have a terminal of so many columns and lines."""
        self._term, self._size = term, (width, height)

    def resize_pty(self, width: int = 80, height: int = 24) -> None:
        """Say that the terminal has another size."""
        if self._terminal is not None:
            _set_size(self._terminal, width, height)
            with suppress(OSError):
                os.kill(self._master, signal.SIGWINCH)

    def settimeout(self, timeout: float | None, /) -> None:
        """Wait for so many seconds at most; ``None`` for ever."""
        self._timeout_s = timeout
        for pair in (self._input, self._output, self._errors):
            pair.here.settimeout(timeout)

    def recv(self, nbytes: int, /) -> bytes:
        """Some of what comes, at most so much; nothing at its end."""
        return self._output.receive(nbytes)

    def recv_stderr(self, nbytes: int, /) -> bytes:
        """Some of what a program prints on standard error; nothing at its end."""
        return self._errors.receive(nbytes)

    def recv_ready(self) -> bool:
        """True where something has come."""
        with suppress(OSError):
            return bool(self._output.here.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT))
        return False

    def sendall(self, s: bytes, /) -> None:
        """Send all of it.

        Raises:
            OSError: the channel is closed.
        """
        try:
            if self._terminal is None:
                self._input.here.sendall(s)
            while self._terminal is not None and s:
                s = s[os.write(self._terminal, s) :]
        except TimeoutError:
            raise
        except OSError as error:
            # Without a number, as paramiko has it: it is not an error of this machine.
            raise OSError("Socket is closed") from error

    def shutdown_write(self) -> None:
        """Say that nothing more will be sent."""
        with suppress(OSError):
            self._input.here.shutdown(socket.SHUT_WR)

    def exit_status_ready(self) -> bool:
        """True where the program has ended."""
        return self._ended.is_set()

    def recv_exit_status(self) -> int:
        """Wait for the program's end; -1 where there is no exit code."""
        self._ended.wait()
        return self._status

    def close(self) -> None:
        """End it."""
        self._closed = True
        for pair in (self._input, self._output, self._errors):
            pair.close()
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
        terminal, self._terminal = self._terminal, None
        if terminal is not None:
            os.close(terminal)
        self._ended.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def _open(self, request: bytes) -> None:
        if self._term is None:
            self._begin(self._start(request, self._files()))
            return
        import tty

        self._terminal, theirs = os.openpty()
        try:
            _set_size(self._terminal, *self._size)
            # The master reads from it how a usual terminal is set, for the one there; then this one is raw.
            self._begin(self._start(request, [theirs, *self._files()[1:]]))
            tty.setraw(theirs)
        finally:
            os.close(theirs)

    def _files(self) -> list[int]:
        return [pair.there.fileno() for pair in (self._input, self._output, self._errors)]

    def _begin(self, line: socket.socket) -> None:
        self._line = line
        for pair in (self._input, self._output, self._errors):
            pair.there.close()
        threading.Thread(target=self._wait, args=(line,), daemon=True).start()

    def _wait(self, line: socket.socket) -> None:
        """Hear the exit code, which comes with the session's end."""
        from slipway.multiplex.openssh import receive

        with line, suppress(OSError, struct.error):
            while True:
                kind, _, content = receive(line)
                if kind == wire.Kind.EXIT:
                    self._status = wire.parse_number(content)
        self._ended.set()


class _Pair:
    """A way between this process and the master: one end here, and one there until it is the master's."""

    def __init__(self) -> None:
        self.here, self.there = socket.socketpair()

    def receive(self, nbytes: int) -> bytes:
        try:
            return self.here.recv(nbytes)
        except TimeoutError:
            raise
        except OSError:
            return b""  # closed

    def close(self) -> None:
        with suppress(OSError):
            self.here.shutdown(socket.SHUT_RDWR)
        self.here.close()
        self.there.close()


def _set_size(terminal: int, width: int, height: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
