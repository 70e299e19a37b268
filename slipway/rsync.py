"""rsync over the connection that is already there."""

from __future__ import annotations

import os
import re
import shlex
import socket
import sys
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from slipway import rsh
from slipway.errors import HostError, LinkError, ParseError, RemoteError
from slipway.link import Link
from slipway.shell import LocalShell, Result

if TYPE_CHECKING:
    import paramiko

# rsync wants a host before the colon; the name is never looked up.
_HOST = "cluster"
_STATS = {
    "sent_bytes": re.compile(r"^Total bytes sent: ([\d,.]+)$", re.M),
    "received_bytes": re.compile(r"^Total bytes received: ([\d,.]+)$", re.M),
    "total_bytes": re.compile(r"^Total file size: ([\d,.]+) bytes$", re.M),
    "files": re.compile(r"^Number of (?:regular )?files transferred: ([\d,.]+)$", re.M),
}
_PROGRESS = re.compile(r"([\d,]+)\s+(\d+)%\s+(\S+/s)")
OnProgress = Callable[[int, int, str], None]


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What one rsync did; sizes in bytes."""

    sent_bytes: int
    received_bytes: int
    total_bytes: int
    files: int


def rsync_command(
    sources: Iterable[str], destination: str, *, rsh_command: str, options: Iterable[str] = ()
) -> list[str]:
    """The argv of an rsync that goes through ``rsh_command`` and ends with statistics.

    Remote places start with the result of :func:`remote`.
    """
    fixed = ["rsync", "--protect-args", "--stats", "--info=progress2", "--outbuf=L", f"--rsh={rsh_command}"]
    return [*fixed, *options, "--", *sources, destination]


def remote(path: PurePosixPath, *, inside: bool = False) -> str:
    """A place on the cluster, as rsync writes it; ``inside`` means the folder's content."""
    return f"{_HOST}:{path}{'/' if inside else ''}"


def parse_stats(stdout: str) -> Transfer:
    """Read what ``rsync --stats`` prints.

    Raises:
        ParseError: a line that every rsync since version 3 prints is missing.
    """
    found = {}
    for name, pattern in _STATS.items():
        match = pattern.search(stdout)
        if match is None:
            raise ParseError(f"rsync's statistics have no {name}; it printed {stdout[-300:]!r}")
        found[name] = int(re.sub(r"\D", "", match[1]))
    return Transfer(**found)


def parse_progress(text: str) -> tuple[int, int, str] | None:
    """Bytes so far, per cent and rate, from the newest progress line in ``text``; ``None`` without one."""
    found = _PROGRESS.findall(text)
    return (int(found[-1][0].replace(",", "")), int(found[-1][1]), found[-1][2]) if found else None


def rsync(
    link: Link,
    sources: Iterable[str],
    destination: str,
    *,
    options: Iterable[str] = (),
    on_progress: OnProgress | None = None,
) -> Transfer:
    """Copy with rsync over an open connection.

    Raises:
        HostError: rsync is not installed here.
        RemoteError: rsync failed there, or is not installed there.
    """

    def listen(text: str) -> None:
        seen = parse_progress(text)
        if on_progress and seen:
            on_progress(*seen)

    with _door(link) as door:
        command = shlex.join([sys.executable, "-IS", str(Path(rsh.__file__)), str(door.path)])
        argv = rsync_command(sources, destination, rsh_command=command, options=options)
        try:
            result = LocalShell(env={**os.environ, "LC_ALL": "C.UTF-8"}).stream(argv, on_output=listen)
        except HostError as error:
            raise HostError(
                f"{error} (Debian, Ubuntu: `apt install rsync`; macOS: `brew install rsync`)"
            ) from error
    if not result.ok:
        raise _failure(link, result, door)
    return parse_stats(result.stdout)


def _failure(link: Link, result: Result, door: _Door) -> Exception:
    if door.lost is not None:
        if isinstance(door.lost, LinkError):
            return door.lost
        return LinkError(f"{link.target}: the connection was lost during rsync ({door.lost}); try again")
    if door.exit_code == 127:
        return RemoteError(f"{link.target}: rsync is not installed there; ask the site to install it")
    if door.exit_code is not None and door.exit_code < 0:
        return RemoteError(f"{link.target}: rsync was killed there (out of memory?); try again")
    words = "\n  ".join([*door.said.strip().splitlines(), *result.stderr.strip().splitlines()][-8:])
    return RemoteError(f"{link.target}: rsync failed with exit code {result.exit_code}:\n  {words}")


class _Door:
    """A Unix socket behind which a program on the cluster runs, for one rsync."""

    def __init__(self, link: Link, path: Path) -> None:
        self.path = path
        self.exit_code: int | None = None
        self.said = ""
        self.lost: Exception | None = None
        self._link = link
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        self._listener.listen(1)

    def serve(self) -> None:
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
            command += connection.recv(1)
        with self._link.command_channel(command[:-1].decode(errors="surrogateescape")) as channel:
            threading.Thread(target=_pump, args=(connection, channel), daemon=True).start()
            while chunk := channel.recv(1 << 16):
                connection.sendall(chunk)
            self.said = channel.makefile_stderr().read().decode(errors="replace")
            self.exit_code = channel.recv_exit_status()
            if self.exit_code < 0 and not self._link.is_open:
                raise EOFError("no exit code came back")

    def close(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@contextmanager
def _door(link: Link) -> Iterator[_Door]:
    # A Unix socket's path may have 107 bytes at most, so it lives in the system's short temporary folder.
    with tempfile.TemporaryDirectory(prefix="slipway-") as folder:
        door = _Door(link, Path(folder) / "door")
        server = threading.Thread(target=door.serve, daemon=True)
        server.start()
        try:
            yield door
        finally:
            door.close()
            server.join(timeout=10)


def _pump(connection: socket.socket, channel: paramiko.Channel) -> None:
    with suppress(OSError):
        while chunk := connection.recv(1 << 16):
            channel.sendall(chunk)
        channel.shutdown_write()
