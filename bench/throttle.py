"""A proxy of limited rate in front of a port, so that a transfer costs what it costs from home."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

_CHUNK = 1 << 14


@dataclass
class LimitedProxy:
    """What has gone through, in bytes.

    Attributes:
        port: of the proxy, on 127.0.0.1.
        rate_bytes_s: how fast it is, each way; 0 is as fast as this machine.
    """

    port: int
    rate_bytes_s: float
    up_bytes: int = 0
    down_bytes: int = 0
    _free_at: dict[str, float] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, way: str, count: int) -> None:
        """Count bytes that go one way, and wait until the proxy has room for them."""
        with self._lock:
            setattr(self, f"{way}_bytes", getattr(self, f"{way}_bytes") + count)
            if not self.rate_bytes_s:
                return
            begin = max(time.monotonic(), self._free_at.get(way, 0.0))
            self._free_at[way] = begin + count / self.rate_bytes_s
        time.sleep(max(0.0, begin - time.monotonic()))


@contextmanager
def limited_proxy(to_port: int, rate_bytes_s: float) -> Iterator[LimitedProxy]:
    """A proxy that leads to a port of this machine."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        proxy = LimitedProxy(port=server.getsockname()[1], rate_bytes_s=rate_bytes_s)
        threading.Thread(target=_serve, args=(server, to_port, proxy), daemon=True).start()
        try:
            yield proxy
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, to_port: int, proxy: LimitedProxy) -> None:
    with suppress(OSError):
        while True:
            here, _ = server.accept()
            there = socket.create_connection(("127.0.0.1", to_port))
            for end in (here, there):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for way, source, target in (("up", here, there), ("down", there, here)):
                threading.Thread(target=_pump, args=(source, target, proxy, way), daemon=True).start()


def _pump(source: socket.socket, target: socket.socket, proxy: LimitedProxy, way: str) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            proxy.take(way, len(chunk))
            target.sendall(chunk)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)
