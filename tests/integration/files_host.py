"""An sshd in a container with users of several kinds (sshd/), and a line to it that is slow or breaks."""

import os
import queue
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from slipway.host.host import Host, connect
from slipway.image.base import ensure_base
from slipway.image.build import build_image
from slipway.image.engine import engine
from slipway.image.recipe import Recipe
from slipway.profile import load_profile
from slipway.progress import NullProgress
from slipway.site import Login
from tests.integration.inside import run_inside
from tests.waiting import PATIENCE_S, wait_until

ROOT = Path(__file__).parents[2]
IMAGE = "slipway-test-sshd"
SMALL_DISK_BYTES = 16 << 20


class Proxy:
    """Stands between Slipway and sshd: delays all bytes, and cuts the connection after so many of them."""

    def __init__(self, port: int, *, delay_s: float = 0.0, cut_after_bytes: int | None = None) -> None:
        self.left_bytes = cut_after_bytes
        self.delay_s = delay_s
        self._server_port = port
        self._open: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._server_port))
            self._open += [client, server]
            for one in (client, server):
                one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=self._pump, args=(client, server), daemon=True).start()
            threading.Thread(target=self._pump, args=(server, client), daemon=True).start()

    def _pump(self, source: socket.socket, target: socket.socket) -> None:
        forward = self._delayed(target) if self.delay_s else target.sendall
        try:
            while chunk := source.recv(1 << 18):
                if self.left_bytes is not None:
                    self.left_bytes -= len(chunk)
                    if self.left_bytes <= 0:
                        self.cut()
                        return
                forward(chunk)
            forward(b"")
            if not self.delay_s:
                target.shutdown(socket.SHUT_WR)
        except OSError:
            reset(target)

    def _delayed(self, target: socket.socket) -> Callable[[bytes], None]:
        waiting: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()

        def deliver() -> None:
            with suppress(OSError):
                while True:
                    due_s, chunk = waiting.get()
                    time.sleep(max(0.0, due_s - time.monotonic()))
                    if not chunk:
                        return target.shutdown(socket.SHUT_WR)
                    target.sendall(chunk)

        threading.Thread(target=deliver, daemon=True).start()
        return lambda chunk: waiting.put((time.monotonic() + self.delay_s, chunk))

    def cut(self) -> None:
        """End all connections, now."""
        self.left_bytes = 0
        for one in self._open:
            reset(one)

    def close(self) -> None:
        """Accept no more connections, and end those that there are."""
        self._listener.close()
        for one in self._open:
            reset(one)


def reset(connection: socket.socket) -> None:
    """End a connection by RST."""
    try:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        pass
    connection.close()


@dataclass(frozen=True)
class FilesHost:
    """An sshd on a port of this machine, and a key for all of its users."""

    state: Path
    port: int
    container: Any

    def login(self, user: str, port: int | None = None, transfer: str = "auto") -> Login:
        (self.state / f"config-{user}-{port}").write_text(
            f"Host files\n    HostName 127.0.0.1\n    Port {port or self.port}\n    HostKeyAlias files\n"
            f"    IdentityFile {self.state}/id\n    IdentitiesOnly yes\n"
            f"    UserKnownHostsFile {self.state}/known_hosts\n    GlobalKnownHostsFile none\n"
        )
        return Login(host="files", user=user, ssh_config=f"config-{user}-{port}", transfer=transfer)  # type: ignore[arg-type]

    def connect(self, user: str, port: int | None = None, transfer: str = "auto") -> Host:
        return connect(self.login(user, port, transfer), self.state)

    def sh(self, script: str, *words: str) -> str:
        done = run_inside(self.container, "sh", "-euc", script, "sh", *words)
        assert done.exit_code == 0, done.output
        text: str = done.output.decode("utf-8", "surrogateescape")
        return text

    def folder(self, user: str, where: str = "/srv") -> PurePosixPath:
        """A new folder of a user's, with a name that shells and protocols stumble over."""
        path = f"{where}/{user} {os.urandom(4).hex()} 'q' é"
        self.sh('mkdir -p "$1" && chown "$2" "$1"', path, user)
        return PurePosixPath(path)


@contextmanager
def start_host(state: Path) -> Iterator[FilesHost]:
    client = engine()
    profile = load_profile(ROOT / "env", "cpu")
    ensure_base(client, profile.base_image, profile.debian_mirror, NullProgress())
    dockerfile = ROOT / "tests" / "integration" / "sshd" / "Dockerfile"
    recipe = Recipe(name=IMAGE, dockerfile=dockerfile, platform="", build_args=profile.build_args)
    build_image(client, recipe, NullProgress())
    argv = ["ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", str(state / "id")]
    subprocess.run(argv, check=True, timeout=PATIENCE_S)
    environment = {
        "PASSWORD": "not used",
        "SECRET": "x",
        "CA": "",
        "AUTHORIZED": (state / "id.pub").read_text(),
    }
    container = client.containers.run(
        IMAGE,
        environment=environment,
        init=True,
        detach=True,
        ports={"22/tcp": ("127.0.0.1", None)},
        tmpfs={"/small": f"size={SMALL_DISK_BYTES},mode=1777"},
    )
    try:
        wait_until(lambda: b"Server listening" in container.logs(), container.logs)
        container.reload()
        made = FilesHost(state, int(container.ports["22/tcp"][0]["HostPort"]), container)
        key = made.sh("cat /etc/ssh/ssh_host_ed25519_key.pub")
        (state / "known_hosts").write_text(f"files {' '.join(key.split()[:2])}\n")
        yield made
    finally:
        container.remove(force=True, v=True)
        client.close()
