"""The door through which a local rsync reaches a program on the cluster: the connection that is open."""

from __future__ import annotations

import os
import shlex
import socket
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from slipway.host.host import Host
from slipway.host.program import Program
from slipway.transfer import rsh

_LONGEST_FOLDER_BYTES = 80


class RsyncTunnel:
    """A Unix socket behind which a program on the cluster runs, for one rsync.

    Attributes:
        exit_code: the program's, once it has ended.
        said: what it printed on standard error.
        lost: what the connection was lost by, if it was.
        sent_bytes: bytes that went to the cluster.
        received_bytes: bytes that came from there.
    """

    def __init__(self, host: Host, path: Path) -> None:
        self.path = path
        self.exit_code: int | None = None
        self.said = ""
        self.lost: Exception | None = None
        self.sent_bytes = 0
        self.received_bytes = 0
        self._host = host
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)

    @property
    def command(self) -> str:
        """What rsync is to run in the place of ssh (its ``--rsh``)."""
        return shlex.join([sys.executable, "-IS", str(Path(rsh.__file__)), str(self.path)])

    def serve(self) -> None:
        """Wait for rsync, start the program that it asks for, and hand their bytes to each other."""
        try:
            connection, _ = self._listener.accept()
        except OSError:
            return  # closed: rsync never called
        try:
            self._join(connection)
        except Exception as error:  # told to whoever waits for rsync
            self.lost = error
        finally:
            # A thread that is still blocked in recv keeps a socket open that is only closed.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _join(self, connection: socket.socket) -> None:
        command = b""
        while not command.endswith(b"\0"):
            byte = connection.recv(1)
            if not byte:
                return  # rsync ended before it had said what to run
            command += byte
        # rsync has quoted its words for a POSIX shell, which the login shell need not be.
        argv = ["sh", "-c", f"exec {command[:-1].decode(errors='surrogateescape')}"]
        with self._host.start(argv) as program:
            if program.wait_for_begin():
                threading.Thread(target=self._pump, args=(connection, program), daemon=True).start()
            # Errors share a window with the output: where nobody reads them, both wait.
            said: list[bytes] = []
            listener = threading.Thread(target=lambda: said.append(program.errors()), daemon=True)
            listener.start()
            while chunk := program.recv(1 << 16):
                try:
                    connection.sendall(chunk)
                except OSError:
                    return  # rsync has ended before that, and says itself why
                self.received_bytes += len(chunk)
            listener.join()
            self.said = b"".join(said).decode(errors="replace")
            self.exit_code = program.exit_code()
            if self.exit_code < 0 and self._host.is_lost:
                raise EOFError("no exit code came back")
            if not program.has_begun:
                raise self._host.no_begin(program.greeting + self.said.encode())

    def _pump(self, connection: socket.socket, program: Program) -> None:
        # What ends the one direction ends the other, and that one tells of it.
        with suppress(Exception):
            while chunk := connection.recv(1 << 16):
                program.send(chunk)
                self.sent_bytes += len(chunk)
            program.end_input()

    def close(self) -> None:
        """End it, also where rsync never came."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def open_rsync_tunnel(host: Host) -> Iterator[RsyncTunnel]:
    """A door for one rsync."""
    with tempfile.TemporaryDirectory(prefix="slipway-", dir=_short_folder()) as folder:
        tunnel = RsyncTunnel(host, Path(folder) / "door")
        server = threading.Thread(target=tunnel.serve, daemon=True)
        server.start()
        try:
            yield tunnel
        finally:
            tunnel.close()
            server.join(timeout=10)


def _short_folder() -> str | None:
    """Where the socket's folder is to be made; ``None`` for the usual temporary folder."""
    # A socket's path may have 107 bytes at most, on macOS 103, and some sites' TMPDIR is as long as that.
    return None if len(os.fsencode(tempfile.gettempdir())) <= _LONGEST_FOLDER_BYTES else "/tmp"  # noqa: S108
