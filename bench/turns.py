"""How often a submission waits for the cluster: python -m bench.turns [--files 1000] [--times 3].

The box is started, and a small image is pushed. A proxy before it delays all bytes by half of the round
trip, each way. For each connection it counts how often this side sends something after it has heard
something: those are round trips, the one that opens the connection among them. They are the same on a busy
machine. One of so many files is changed before each submission, by `invoke job` and by Orbit's recipe
(bench/submit.py).
"""

from __future__ import annotations

import argparse
import queue
import re
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from bench.submit import IMAGE, ROOT, Bench, push_image
from slipway.project import Project
from slipway.steps.box import box_down, box_up
from slipway.steps.session import Session

_CHUNK_BYTES = 1 << 16


class CountingProxy:
    """Ways to a port of this machine, with a delay, whose round trips and bytes are counted."""

    def __init__(self, port: int, delay_s: float) -> None:
        self.turns, self.sent_bytes = 0, 0
        self._target, self._delay_s = port, delay_s
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._socket.getsockname()[1])
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            near, _ = self._socket.accept()
            far = socket.create_connection(("127.0.0.1", self._target))
            self.turns += 1
            heard = threading.Event()
            for source, sink, told in ((near, far, self._ask(heard)), (far, near, None)):
                late: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
                after = heard.set if told is None else None
                threading.Thread(target=self._take, args=(source, late, told), daemon=True).start()
                threading.Thread(target=_give, args=(sink, late, after), daemon=True).start()

    def _ask(self, heard: threading.Event) -> Callable[[bytes], None]:
        def told(chunk: bytes) -> None:
            self.sent_bytes += len(chunk)
            if heard.is_set():
                heard.clear()
                self.turns += 1

        return told

    def _take(
        self,
        source: socket.socket,
        late: queue.SimpleQueue[tuple[float, bytes]],
        told: Callable[[bytes], None] | None,
    ) -> None:
        chunk = b"-"
        while chunk:
            try:
                chunk = source.recv(_CHUNK_BYTES)
            except OSError:
                chunk = b""
            if chunk and told:
                told(chunk)
            late.put((time.monotonic() + self._delay_s, chunk))


def _give(
    sink: socket.socket, late: queue.SimpleQueue[tuple[float, bytes]], after: Callable[[], object] | None
) -> None:
    while True:
        due_s, chunk = late.get()
        time.sleep(max(0.0, due_s - time.monotonic()))
        try:
            if not chunk:
                sink.shutdown(socket.SHUT_WR)
                return
            if after:
                after()
            sink.sendall(chunk)
        except OSError:
            return


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--times", type=int, default=3)
    parser.add_argument("--delay", type=int, default=100, help="round trip in ms")
    options = parser.parse_args()
    (ROOT / ".slipway").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".slipway") as name:
        folder = Path(name)
        session = Session(project=Project(root=ROOT, state=folder / "state", results=folder / "results"))
        choice = session.choose("cpu", "box", [f"IMAGE={IMAGE}"])
        box_up(session)
        try:
            push_image(session, choice)
            bench = Bench(session, choice, folder, options.files)
            measure(bench, options.delay / 2000, options.times)
        finally:
            box_down(session, purge=False)


def measure(bench: Bench, delay_s: float, times: int) -> None:
    """Print medians for each way; the first time, which sends everything, does not count."""
    direct = bench.ssh_config.read_text()
    line, port = re.findall(r"(Port (\d+))", direct)[0]
    proxy = CountingProxy(int(port), delay_s)
    bench.ssh_config.write_text(direct.replace(line, f"Port {proxy.port}"))
    print("| way | round trips | sent |\n|---|--:|--:|")
    for title, way in (("`invoke job`", bench.slipway), ("Orbit", bench.orbit)):
        found: list[tuple[int, int]] = []
        for _ in range(times + 1):
            bench.change()
            proxy.turns, proxy.sent_bytes = 0, 0
            way()
            time.sleep(4 * delay_s)
            found.append((proxy.turns, proxy.sent_bytes))
        turns, sent_bytes = map(statistics.median, zip(*found[1:], strict=True))
        print(f"| {title} | {turns:g} | {sent_bytes / 1e3:.0f} kB |", flush=True)


if __name__ == "__main__":
    main()
