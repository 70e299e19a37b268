"""A program in a container that runs: at this terminal, or between this process's own input and outputs."""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from slipway.errors import EngineError
from slipway.host.terminal import Size

if TYPE_CHECKING:
    from docker import DockerClient

    from slipway.interactive.terminal import LocalTerminal

_CHUNK_BYTES = 1 << 16
_PATIENCE_S = 10.0
# What the caller has left goes on in a container: it is ended by its number.
_BEGIN = """
printf 'slipway-%s-%s\\n' begins "$$"
if [ $# -eq 0 ]; then set -- sh; if command -v bash >/dev/null; then set -- bash; fi; fi
command -v "$1" >/dev/null || { echo "$1: there is no such program in the image" >&2; exit 127; }
exec "$@"
"""
_MARK = re.compile(rb"slipway-begins-([0-9]{1,18})\r*\n")


class Execution:
    """A program that is started in a container.

    Args:
        client: the engine.
        container: the container's id.
        words: the program and its arguments; none for a shell.
        size: of its terminal; ``None`` where it has none.
        kind: what the terminal understands.
    """

    def __init__(
        self,
        client: DockerClient,
        container: str,
        words: Sequence[str],
        size: Size | None = None,
        kind: str = "dumb",
    ) -> None:
        self._api: Any = client.api
        self._container = container
        self._number = b""
        self._id = self._api.exec_create(
            container,
            ["/bin/sh", "-c", _BEGIN, "slipway", *words],
            stdin=True,
            tty=size is not None,
            environment={"TERM": kind} if size else {},
            workdir="/code",
        )["Id"]
        self.stream: Any = self._api.exec_start(self._id, tty=size is not None, socket=True)
        self._socket: Any = getattr(self.stream, "_sock", self.stream)
        self._socket.settimeout(None)
        self._rest = b""
        self._late: Size | None = None
        if size and not self._has_resized(size):
            self._late = size  # it may not have begun

    def wait_for_begin(self) -> None:
        """Wait until it has begun.

        Raises:
            EngineError: it did not.
        """
        seen = b""
        while (mark := _MARK.search(seen)) is None:
            chunk = self._socket.recv(_CHUNK_BYTES)
            if not chunk:
                said = seen.decode("utf-8", "replace").strip()
                raise EngineError(f"nothing can be started in the container: {said}")
            seen += chunk
        self._number, self._rest = mark[1], seen[mark.end() :]
        if self._late:
            self._has_resized(self._late)

    def recv(self, size_bytes: int) -> bytes:
        """Some of what it prints on its terminal; nothing at the end."""
        if self._rest:
            chunk, self._rest = self._rest, b""
            return chunk
        try:
            return bytes(self._socket.recv(size_bytes))
        except OSError:
            return b""

    def send(self, content: bytes) -> None:
        """Hand it what was typed."""
        self._socket.sendall(content)

    def end_input(self) -> None:
        """Hand it the end of its input."""
        self._socket.shutdown(socket.SHUT_WR)

    def resize(self, size: Size) -> None:
        """Tell it that the terminal here has another size."""
        self._api.exec_resize(self._id, height=size.rows, width=size.columns)

    def _has_resized(self, size: Size) -> bool:
        """False where the engine refuses it, as for a program that is over already."""
        from docker.errors import APIError

        try:
            self.resize(size)
        except APIError:
            return False
        return True

    def close(self) -> None:
        """Give it up: it is told to end, as where a terminal's line is cut."""
        number = self._number.decode()
        if number:
            with suppress(Exception):
                argv = ["/bin/sh", "-c", 'kill -HUP "$1"', "slipway", number]
                self._api.exec_start(self._api.exec_create(self._container, argv)["Id"])
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self.stream.close()

    def frames(self) -> Any:
        """What it prints without a terminal: pairs of which output, 1 or 2, and bytes."""
        from docker.utils.socket import frames_iter

        iterate: Any = frames_iter
        return iterate(self.stream, tty=False)

    def began(self, number: bytes) -> None:
        """Note its number."""
        self._number = number

    def exit_code(self) -> int:
        """Its exit code, once it has ended.

        Raises:
            EngineError: the engine does not tell.
        """
        deadline = time.monotonic() + _PATIENCE_S
        while time.monotonic() < deadline:
            code = self._api.exec_inspect(self._id)["ExitCode"]
            if code is not None:
                return int(code)
            time.sleep(0.05)
        raise EngineError("the engine does not tell with which exit code the program has ended")


def enter_at_terminal(
    client: DockerClient, container: str, words: Sequence[str], terminal: LocalTerminal
) -> int:
    """Run a program on this terminal; returns its exit code.

    Raises:
        LeftError: the person at the terminal has left it, by ``~.``.
    """
    execution = Execution(client, container, words, terminal.size, terminal.kind)
    execution.wait_for_begin()
    try:
        terminal.attach(execution)
    finally:
        execution.stream.close()
    return execution.exit_code()


def enter_with_streams(client: DockerClient, container: str, words: Sequence[str]) -> int:
    """Run a program between this process's own input and outputs; returns its exit code."""
    execution = Execution(client, container, words)
    is_done = False
    try:
        _relay(execution)
        is_done = True
    finally:
        if not is_done:
            execution.close()
        execution.stream.close()
    return execution.exit_code()


def _relay(execution: Execution) -> None:
    sys.stdout.flush()
    sys.stderr.flush()
    threading.Thread(target=_feed, args=(execution,), daemon=True).start()
    before: bytes | None = b""
    for output, chunk in execution.frames():
        if before is not None and output == 1:
            before += chunk
            mark = _MARK.search(before)
            if mark is None:
                continue
            execution.began(mark[1])
            chunk, before = before[mark.end() :], None
        _write(output, chunk)


def _feed(execution: Execution) -> None:
    # Nobody types into what prints to a file or a pipe, and in the background reading would stop it.
    with suppress(OSError):
        while not os.isatty(0) and (chunk := os.read(0, _CHUNK_BYTES)):
            execution.send(chunk)
    with suppress(OSError):
        execution.end_input()


def _write(output: int, content: bytes) -> None:
    descriptor = sys.stdout.fileno() if output == 1 else sys.stderr.fileno()
    while content:
        content = content[os.write(descriptor, content) :]
