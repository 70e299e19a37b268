"""The port here: each connection that comes to it is joined to one there."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress

from slipway.tunnel.way import Stream

_CHUNK_BYTES = 1 << 16
# So long a connection waits for a line that was cut to be there again.
PATIENCE_S = 60.0


class Door:
    """Takes connections on a socket until it is closed.

    Args:
        listener: where they come.
        open_stream: gives each one there; ``None`` where there is none, and an OSError where it ended.
    """

    def __init__(self, listener: socket.socket, open_stream: Callable[[], Stream | None]) -> None:
        self._listener = listener
        self._open_stream = open_stream
        self._lock = threading.Lock()
        self._joined: set[_Joined] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more, and end those that are there."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            joined = [*self._joined]
        for one in joined:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._join, args=(here,), daemon=True).start()

    def _join(self, here: socket.socket) -> None:
        with here:
            stream = self._open_stream()
            if stream is None:
                return
            here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            joined = _Joined(here, stream)
            with self._lock:
                self._joined.add(joined)
            try:
                joined.carry()
            finally:
                with self._lock:
                    self._joined.discard(joined)


class _Joined:
    def __init__(self, here: socket.socket, there: Stream) -> None:
        self._here, self._there = here, there

    def carry(self) -> None:
        """Carry both directions to their ends."""
        up = threading.Thread(target=self._up, daemon=True)
        up.start()
        with suppress(OSError, EOFError):
            while content := self._there.recv(_CHUNK_BYTES):
                self._here.sendall(content)
            self._here.shutdown(socket.SHUT_WR)
            up.join()
        self.close()

    def close(self) -> None:
        """End both."""
        with suppress(OSError, EOFError):
            self._there.close()
        # A thread that is still blocked in recv keeps a socket open that is only closed.
        with suppress(OSError):
            self._here.shutdown(socket.SHUT_RDWR)

    def _up(self) -> None:
        with suppress(OSError, EOFError):
            while content := self._here.recv(_CHUNK_BYTES):
                self._there.sendall(content)
            self._there.shutdown_write()
