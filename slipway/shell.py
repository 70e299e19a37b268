"""Running programs: the one place that touches ``subprocess``."""

from __future__ import annotations

import codecs
import os
import shlex
import signal
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Protocol

from slipway.errors import HostError
from slipway.signals import held_back

# How long a program has to end that was told to.
_PATIENCE_S = 5.0


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a program left behind: its argv, exit code and both outputs as text."""

    argv: tuple[str, ...]
    exit_code: int
    stdout: str = ""
    stderr: str = ""

    @property
    def ok(self) -> bool:
        """True where the exit code is 0."""
        return self.exit_code == 0

    def explain(self, last_lines: int = 8) -> str:
        """The command, its exit code and the end of what it said, for an error message."""
        said = (self.stderr.strip() or self.stdout.strip()).splitlines()[-last_lines:]
        head = f"`{shlex.join(self.argv)}` ended with exit code {self.exit_code}"
        return "\n  ".join([head + (":" if said else " and said nothing."), *said])


class Shell(Protocol):
    """Somewhere that commands run: this machine, or a cluster's login node."""

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        """Run a program to its end. A non-zero exit code is returned, not raised."""
        ...


class LocalShell:
    """Runs programs on this machine.

    Args:
        cwd: where they run.
        env: their environment.
        apart: they cannot reach the terminal, which an interactive shell would take.
    """

    def __init__(
        self, cwd: Path | None = None, env: Mapping[str, str] | None = None, *, apart: bool = False
    ) -> None:
        self.cwd = cwd
        self.env = env
        self.apart = apart

    def run(self, argv: Sequence[str], *, stdin: str | None = None, timeout_s: float = 60) -> Result:
        """Run a program to its end.

        Raises:
            HostError: the program is not installed, or did not end within ``timeout_s`` seconds.
        """
        try:
            done = subprocess.run(
                list(argv),
                input=None if stdin is None else stdin.encode("utf-8", errors="surrogateescape"),
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                timeout=timeout_s,
                cwd=self.cwd,
                env=self.env,
                start_new_session=self.apart,
                check=False,
            )
        except FileNotFoundError as error:
            raise HostError(
                f"{argv[0]} is not installed on this machine; install it and try again"
            ) from error
        except subprocess.TimeoutExpired as error:
            raise HostError(f"`{shlex.join(argv)}` did not end within {timeout_s:g} s") from error
        # Not by subprocess, which would turn each carriage return into a newline.
        stdout, stderr = (
            output.decode("utf-8", errors="surrogateescape") for output in (done.stdout, done.stderr)
        )
        return Result(argv=tuple(argv), exit_code=done.returncode, stdout=stdout, stderr=stderr)

    def stream(self, argv: Sequence[str], *, on_output: Callable[[str], None]) -> Result:
        """Run a program to its end, and hand over its output while it comes.

        Args:
            argv: the program and its arguments.
            on_output: called with each piece of standard output, as it was written.

        Raises:
            HostError: the program is not installed.
        """
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                cwd=self.cwd,
                env=self.env,
            )
        except FileNotFoundError as error:
            raise HostError(f"{argv[0]} is not installed here; install it and try again") from error
        with process, ThreadPoolExecutor(1) as pool:
            assert process.stdout is not None and process.stderr is not None  # noqa: S101, PT018 - both are pipes
            errors = pool.submit(process.stderr.read)
            pieces = []
            try:
                while chunk := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
                    pieces.append(chunk.decode("utf-8", errors="replace"))
                    on_output(pieces[-1])
            except BaseException:
                process.kill()
                raise
        return Result(
            argv=tuple(argv),
            exit_code=process.returncode,
            stdout="".join(pieces),
            stderr=errors.result().decode("utf-8", errors="replace"),
        )

    def follow(self, argv: Sequence[str], *, stdin: IO[bytes], on_output: Callable[[str], None]) -> int:
        """Run a program to its end, and hand over both of its outputs while they come; returns its exit code.

        Args:
            argv: the program and its arguments.
            stdin: an open file that it reads.
            on_output: called with each piece of them.

        Raises:
            HostError: the program is not installed.
        """
        try:
            process = subprocess.Popen(
                list(argv),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=self.cwd,
                env=self.env,
            )
        except FileNotFoundError as error:
            raise HostError(f"{argv[0]} is not installed here; install it and try again") from error
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        with process:
            assert process.stdout is not None  # noqa: S101 - it is a pipe
            try:
                while chunk := process.stdout.read1(1 << 16):  # type: ignore[attr-defined]
                    on_output(decoder.decode(chunk))
            except BaseException:
                _end(process)
                raise
        return process.returncode


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a program that may have something to undo; one that goes on is killed."""
    process.terminate()
    try:
        process.wait(_PATIENCE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def open_proxy(command: str) -> socket.socket:
    """Run a ``ProxyCommand`` of OpenSSH's; it ends when the socket that leads to it is closed.

    Args:
        command: for the user's own shell. What it says on standard error is seen.
    """
    here, there = socket.socketpair()
    with there:
        # As OpenSSH does it; `exec` leaves no shell behind.
        argv = [os.environ.get("SHELL") or "/bin/sh", "-c", f"exec {command}"]
        process = subprocess.Popen(argv, stdin=there.fileno(), stdout=there.fileno())
    threading.Thread(target=process.wait, daemon=True).start()  # leaves no zombie behind
    return here


def start_beside(argv: Sequence[str], *, descriptor: int, errors: int) -> subprocess.Popen[bytes]:
    """Start a program that may outlive this one, and leaves no zombie behind where it does not.

    SIGINT and SIGHUP wait there until the program lets them through: a Ctrl-C at this terminal, which is for
    this process alone, does not meet it before it can ignore that.

    Args:
        argv: the program and its arguments.
        descriptor: an open file that it gets as well, under the same number.
        errors: the file that its standard error goes to.
    """
    with held_back(signal.SIGINT, signal.SIGHUP):
        process = subprocess.Popen(
            list(argv),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=errors,
            pass_fds=[descriptor],
        )
    threading.Thread(target=process.wait, daemon=True).start()
    return process
