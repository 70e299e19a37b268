"""One program of this machine, or its files, with the names of paramiko's own channel."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from slipway.here.file_server import find_file_server, serve_files
from slipway.multiplex.pair import PairChannel, set_size

_CHUNK_BYTES = 1 << 16
# What belongs to the Python that runs Slipway, and not to the person.
_NOT_THEIRS = ("VIRTUAL_ENV", "VIRTUAL_ENV_PROMPT", "PYTHONHOME", "PYTHONPATH")
# Makes the terminal on its input its own, as a login does, and becomes a shell.
_ON_TERMINAL = """
import fcntl, os, sys, termios
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
os.execv(sys.argv[1], sys.argv[1:])
"""


class LocalChannel(PairChannel):
    """See :class:`slipway.ssh.transport.Channel`.

    A program has a session of its own, so that keys that are pressed here reach this process alone.
    """

    def __init__(self) -> None:
        super().__init__()
        self._program: subprocess.Popen[bytes] | None = None

    def exec_command(self, command: str, /) -> None:
        """Start a command by the shell."""
        self._run(["/bin/sh", "-c", command])

    def invoke_shell(self) -> None:
        """Start a login shell."""
        self._run([os.environ.get("SHELL") or "/bin/sh", "-l"])

    def invoke_subsystem(self, subsystem: str, /) -> None:
        """Start what serves files, whichever name is asked for."""
        server = find_file_server()
        if server is not None:
            self._run([server])
            return
        # What this thread serves is no process, and has no exit code.
        theirs = socket.socket(fileno=os.dup(self._output.there.fileno()))
        joined = socket.socket(fileno=os.dup(self._input.there.fileno()))
        self._hand_over()
        threading.Thread(target=serve_files, args=(joined, theirs), daemon=True).start()

    def open_way(self, host: str, port: int, timeout_s: float | None) -> None:
        """Have it lead to a port.

        Raises:
            OSError: nothing answers there.
        """
        connection = socket.create_connection((host, port), timeout_s)
        connection.settimeout(None)
        self._hand_over()
        # Both directions are one socket.
        for pair in (self._input, self._output):
            pair.here.close()
            pair.here = connection

    def resize_pty(self, width: int = 80, height: int = 24) -> None:
        """Say that the terminal has another size."""
        if self._terminal is not None:
            set_size(self._terminal, width, height)

    def close(self) -> None:
        """End it, and tell a program that still runs that its terminal has gone."""
        program = self._program
        super().close()
        if program is not None and program.returncode is None:
            with suppress(OSError):
                os.killpg(program.pid, signal.SIGHUP)

    def _run(self, argv: Sequence[str]) -> None:
        if self._term is None:
            self._begin(argv, self._files())
            return
        self._terminal, theirs = os.openpty()
        try:
            set_size(self._terminal, *self._size)
            self._begin([sys.executable, "-ISc", _ON_TERMINAL, *argv], [theirs, theirs, theirs])
        finally:
            os.close(theirs)

    def _begin(self, argv: Sequence[str], files: Sequence[int]) -> None:
        stdin, stdout, stderr = files
        self._program = subprocess.Popen(
            argv,
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            cwd=Path.home(),
            env=_environment(self._term),
            start_new_session=True,
        )
        screen = self._output.there.dup() if self._terminal is not None else None
        self._hand_over()
        if self._terminal is not None and screen is not None:
            threading.Thread(target=_show, args=(os.dup(self._terminal), screen), daemon=True).start()
        threading.Thread(target=self._wait, args=(self._program,), daemon=True).start()

    def _wait(self, program: subprocess.Popen[bytes]) -> None:
        code = program.wait()
        # As a server that tells by which signal, which nobody asks for.
        self._status = code if code >= 0 else -1
        self._ended.set()


def _environment(term: str | None) -> dict[str, str]:
    environment = {name: value for name, value in os.environ.items() if name not in _NOT_THEIRS}
    own = os.environ.get("VIRTUAL_ENV")
    if own:
        places = environment.get("PATH", "").split(os.pathsep)
        environment["PATH"] = os.pathsep.join(place for place in places if Path(place) != Path(own) / "bin")
    return environment | ({"TERM": term} if term else {})


def _show(terminal: int, screen: socket.socket) -> None:
    """Bring what a program prints on its terminal to whoever reads the channel."""
    with screen, suppress(OSError):
        try:
            # A terminal that nobody has open any more is an error to read.
            while chunk := os.read(terminal, _CHUNK_BYTES):
                screen.sendall(chunk)
        finally:
            os.close(terminal)
