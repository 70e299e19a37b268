"""A TCP proxy between Slipway and an sshd that counts bytes, and cuts connections when it is told to."""

import contextlib
import os
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator

_NO_LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """Passes connections on to a port of 127.0.0.1.

    ``up_bytes`` and ``down_bytes`` are what went to the server and came from it since :meth:`count`.
    """

    def __init__(self, port: int) -> None:
        self.host, self.target = "127.0.0.1", port
        self.up_bytes = self.down_bytes = self.connections = 0
        self.rate_bytes_s: float | None = None
        self.down_rate_bytes_s: float | None = None
        self._flows = threading.Event()
        self._flows.set()
        self._is_garbled = False
        self._open: list[socket.socket] = []
        self._is_silent = False
        self._trigger: tuple[int, Callable[[], object]] | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def count(self) -> None:
        """Begin anew: nothing is counted yet, nothing is silent, nothing is to be done."""
        self.up_bytes = self.down_bytes = self.connections = 0
        self._is_silent, self._is_garbled, self._trigger = False, False, None
        self._flows.set()

    def when(self, up_bytes: int, act: Callable[[], object]) -> None:
        """Do something once, as soon as so many bytes have gone up."""
        self._trigger = (up_bytes, act)

    @contextlib.contextmanager
    def slow(self, rate_bytes_s: float, *, both: bool = False) -> Iterator[None]:
        """Let no more than so much go up, and with ``both`` come down."""
        self.rate_bytes_s, self.down_rate_bytes_s = rate_bytes_s, rate_bytes_s if both else None
        try:
            yield
        finally:
            self.rate_bytes_s = self.down_rate_bytes_s = None

    def stall(self, seconds: float) -> None:
        """Hold all that is on its way for so long; then it arrives."""
        self._flows.clear()
        time.sleep(seconds)
        self._flows.set()

    def garble(self) -> None:
        """Let other bytes arrive than were sent, from now on, both ways."""
        self._is_garbled = True

    def reset(self) -> None:
        """End all connections as a firewall does that has forgotten them: with RST, both ways."""
        for one in self._open:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _NO_LINGER)
                one.shutdown(socket.SHUT_RD)
            one.close()
        self._open.clear()

    def silence(self) -> None:
        """Let nothing through any more, and tell nobody."""
        self._is_silent = True

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # a thread in accept keeps it open else
        self._listener.close()
        self.reset()

    def _accept(self) -> None:
        while True:
            try:
                here, _ = self._listener.accept()
            except OSError:
                return
            try:
                there = socket.create_connection((self.host, self.target))
            except OSError:
                here.close()
                continue
            self.connections += 1
            self._open += [here, there]
            threading.Thread(target=self._pump, args=(here, there, True), daemon=True).start()
            threading.Thread(target=self._pump, args=(there, here, False), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket, up: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := source.recv(1 << 16):
                if self._is_silent:
                    return  # both ends stay open, and wait
                self._note(len(chunk), up)
                self._flows.wait()
                sink.sendall(os.urandom(len(chunk)) if self._is_garbled else chunk)
            sink.shutdown(socket.SHUT_WR)

    def _note(self, size_bytes: int, up: bool) -> None:
        if not up:
            self.down_bytes += size_bytes
            if self.down_rate_bytes_s:
                time.sleep(size_bytes / self.down_rate_bytes_s)
            return
        self.up_bytes += size_bytes
        if self.rate_bytes_s:
            time.sleep(size_bytes / self.rate_bytes_s)
        if self._trigger and self.up_bytes >= self._trigger[0]:
            (_, act), self._trigger = self._trigger, None
            threading.Thread(target=act, daemon=True).start()
