"""The line to the cluster: a TCP proxy with a delay, a limited rate, and counters, in a process of its own.

    python -m bench.suite.line PORT

It prints the port that it listens on. Each line of its standard input is a command: ``use DELAY_S RATE``
(bytes a second, 0 for no limit), or ``counts``, which it answers with the bytes that went up and down and the
number of connections so far. Half of a round trip is the delay of each way. All connections share the rate.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_CHUNK = 1 << 16
# What may be on its way, beyond what delay and rate ask for: as in the buffers of a real path.
_BUFFER_BYTES = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Counts:
    """Bytes that went to the cluster and came from it, and connections to it, since the beginning."""

    sent_bytes: int
    received_bytes: int
    connections: int


class Line:
    """The proxy, from outside."""

    def __init__(self, port: int) -> None:
        argv = [sys.executable, "-m", "bench.suite.line", str(port)]
        self._process = subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
        )
        self.port = int(self._read())

    def use(self, delay_ms: float = 0, rate_mbit: float = 0) -> None:
        """Change the round trip and the rate, of connections that are open as well."""
        self._ask(f"use {delay_ms / 2000} {rate_mbit * 1e6 / 8}")

    def counts(self) -> Counts:
        """What has gone through."""
        sent, received, connections = map(int, self._ask("counts").split())
        return Counts(sent_bytes=sent, received_bytes=received, connections=connections)

    def close(self) -> None:
        """End the proxy, and all connections through it."""
        self._process.communicate()

    def _ask(self, words: str) -> str:
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        self._process.stdin.write(f"{words}\n")
        self._process.stdin.flush()
        return self._read()

    def _read(self) -> str:
        assert self._process.stdout is not None  # noqa: S101 - it is a pipe
        return self._process.stdout.readline().strip()


class Proxy:
    """The proxy itself."""

    def __init__(self, port: int) -> None:
        self.target, self.delay_s, self.rate_bytes_s = port, 0.0, 0.0
        self.bytes = {"up": 0, "down": 0}
        self.connections = 0
        self._free_at = {"up": 0.0, "down": 0.0}
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def due(self, way: str, count: int) -> float:
        """Count bytes, and say when they arrive at the other end."""
        with self._lock:
            self.bytes[way] += count
            free = max(time.monotonic(), self._free_at[way])
            if self.rate_bytes_s:
                free += count / self.rate_bytes_s
            self._free_at[way] = free
        return free + self.delay_s

    @property
    def room_bytes(self) -> int:
        """How much may be on its way."""
        return _BUFFER_BYTES + int(2 * self.delay_s * (self.rate_bytes_s or 125e6))

    def _serve(self) -> None:
        while True:
            here, _ = self._listener.accept()
            try:
                there = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                here.close()
                continue
            self.connections += 1
            for end in (here, there):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for way, source, sink in (("up", here, there), ("down", there, here)):
                _Pump(self, way, source, sink)


class _Pump:
    """One way of one connection: a thread that reads, and one that writes what is due."""

    def __init__(self, proxy: Proxy, way: str, source: socket.socket, sink: socket.socket) -> None:
        self._proxy, self._way, self._source, self._sink = proxy, way, source, sink
        self._waiting: deque[tuple[float, bytes]] = deque()
        self._size, self._change = 0, threading.Condition()
        for work in (self._read, self._write):
            threading.Thread(target=work, daemon=True).start()

    def _read(self) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = self._source.recv(_CHUNK)
            except OSError:
                chunk = b""
            due = self._proxy.due(self._way, len(chunk))
            with self._change:
                self._waiting.append((due, chunk))
                self._size += len(chunk)
                self._change.notify_all()
                self._change.wait_for(lambda: self._size <= self._proxy.room_bytes)

    def _write(self) -> None:
        try:
            while chunk := self._next():
                self._sink.sendall(chunk)
            self._sink.shutdown(socket.SHUT_WR)
        except OSError:  # The other end is gone, and this one is told by its own next byte.
            with suppress(OSError):
                self._source.shutdown(socket.SHUT_RD)

    def _next(self) -> bytes:
        with self._change:
            self._change.wait_for(lambda: self._waiting)
            due, chunk = self._waiting.popleft()
        time.sleep(max(0.0, due - time.monotonic()))
        with self._change:
            self._size -= len(chunk)
            self._change.notify_all()
        return chunk


def main() -> None:
    """Serve until standard input ends."""
    proxy = Proxy(int(sys.argv[1]))
    print(proxy.port, flush=True)
    for text in sys.stdin:
        command, *values = text.split()
        if command == "use":
            proxy.delay_s, proxy.rate_bytes_s = map(float, values)
            print("ok", flush=True)
        else:
            print(proxy.bytes["up"], proxy.bytes["down"], proxy.connections, flush=True)


if __name__ == "__main__":
    main()
