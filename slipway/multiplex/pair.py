"""A channel whose other end is a process of this machine: three sockets, and perhaps a terminal."""

from __future__ import annotations

import os
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing_extensions import Self


class Pair:
    """A way between this process and another: one end here, and one there until it is the other's."""

    def __init__(self) -> None:
        self.here, self.there = socket.socketpair()

    def receive(self, nbytes: int) -> bytes:
        """Some of what comes, at most so much; nothing at its end."""
        try:
            return self.here.recv(nbytes)
        except TimeoutError:
            raise
        except OSError:
            return b""  # closed

    def close(self) -> None:
        """End it on both sides."""
        with suppress(OSError):
            self.here.shutdown(socket.SHUT_RDWR)
        self.here.close()
        self.there.close()


class PairChannel:
    """What all such channels have in common; see :class:`slipway.ssh.transport.Channel`."""

    def __init__(self) -> None:
        self._term: str | None = None
        self._size = (80, 24)
        # What keys are written to, where the other side has a terminal.
        self._terminal: int | None = None
        self._input, self._output, self._errors = (Pair() for _ in range(3))
        self._closed = False
        self._ended = threading.Event()
        self._status = -1

    @property
    def closed(self) -> bool:
        """True after its end on this side."""
        return self._closed

    def get_pty(self, term: str = "vt100", width: int = 80, height: int = 24) -> None:
        """Have a terminal of so many columns and lines."""
        self._term, self._size = term, (width, height)

    def settimeout(self, timeout: float | None, /) -> None:
        """Wait for so many seconds at most; ``None`` for ever."""
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

    def _files(self) -> list[int]:
        """The other side's ends."""
        return [pair.there.fileno() for pair in (self._input, self._output, self._errors)]

    def _hand_over(self) -> None:
        """Forget the other side's ends: it has them."""
        for pair in (self._input, self._output, self._errors):
            pair.there.close()


def set_size(terminal: int, width: int, height: int) -> None:
    """Say how large a terminal is, in columns and lines."""
    import fcntl
    import termios

    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
