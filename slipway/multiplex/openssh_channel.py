"""One session on a connection that OpenSSH keeps, with the names of paramiko's own channel."""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress

from slipway.multiplex import openssh_wire as wire
from slipway.multiplex.pair import PairChannel, set_size

# Has the master open a session with these files; gives the socket on which it tells of the session's end.
Start = Callable[[bytes, Sequence[int]], socket.socket]


class MasterChannel(PairChannel):
    """See :class:`slipway.ssh.transport.Channel`.

    Args:
        start: has the master open a session.
        master: its process, which is told of a new size of the terminal by a signal, as ssh does it.
    """

    def __init__(self, start: Start, master: int) -> None:
        super().__init__()
        self._start = start
        self._master = master
        self._line: socket.socket | None = None

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

    def resize_pty(self, width: int = 80, height: int = 24) -> None:
        """Say that the terminal has another size."""
        if self._terminal is not None:
            set_size(self._terminal, width, height)
            with suppress(OSError):
                os.kill(self._master, signal.SIGWINCH)

    def close(self) -> None:
        """End it."""
        if self._line is not None:
            with suppress(OSError):
                self._line.shutdown(socket.SHUT_RDWR)
        super().close()

    def _open(self, request: bytes) -> None:
        if self._term is None:
            self._begin(self._start(request, self._files()))
            return
        import tty

        self._terminal, theirs = os.openpty()
        try:
            set_size(self._terminal, *self._size)
            # The master reads from it how a usual terminal is set, for the one there; then this one is raw.
            self._begin(self._start(request, [theirs, *self._files()[1:]]))
            tty.setraw(theirs)
        finally:
            os.close(theirs)

    def _begin(self, line: socket.socket) -> None:
        self._line = line
        self._hand_over()
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
