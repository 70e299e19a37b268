"""A program on a host, at this terminal or between this process's own input and outputs, to its end."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress

from slipway.errors import ConnectionLostError, RemoteError, SlipwayError
from slipway.host.command_line import MARK
from slipway.host.host import KILLED, Host
from slipway.interactive.streams import Streams
from slipway.interactive.terminal import LocalTerminal

# What is told to end needs to be known by its number; a server need not pass on signals.
_WITH_ID = 'echo "$$" >&2; exec "$@"'


def attach_terminal(host: Host, argv: Sequence[str], terminal: LocalTerminal) -> int:
    """Run a program on a terminal of the host that is this one.

    Returns:
        Its exit code; 128 where a signal killed it.

    Raises:
        ConnectionLostError: the connection was lost.
        LeftError: the person at the terminal has left it, by ``~.``.
    """
    with host.open_terminal(argv, terminal.kind, terminal.size) as program:
        if not program.wait_for_begin():
            raise host.no_begin(program.greeting)
        terminal.attach(program)
        return _exit_code(host, program.exit_code())


def attach_streams(host: Host, argv: Sequence[str], mark: bytes) -> int:
    """Run a program with this process's own input and outputs, byte by byte.

    Args:
        host: where.
        argv: the program and its arguments.
        mark: what it prints on both outputs before what is to be handed on.

    Returns:
        Its exit code; 128 where a signal killed it.

    Raises:
        RemoteError: it ended before it printed the mark.
        ConnectionLostError: the connection was lost.
    """
    with host.start(["sh", "-c", _WITH_ID, "slipway", *argv]) as program:
        if not program.wait_for_begin():
            raise host.no_begin(program.greeting)
        streams = Streams(program, mark)
        try:
            streams.relay()
        except BaseException:
            _end(host, streams)
            raise
        code = _exit_code(host, program.exit_code())
    if not streams.has_begun:
        said = _words_before(streams.errors_before)[1]
        raise RemoteError(f"{host.target}: nothing was run: {said or f'it ended with exit code {code}'}")
    return code


def _end(host: Host, streams: Streams) -> None:
    number, _ = _words_before(streams.errors_before)
    if number.isdigit():
        with suppress(SlipwayError, OSError, EOFError):
            # sshd has made it the first of a process group.
            host.run(["kill", "-TERM", "--", f"-{number}"], timeout_s=10)


def _words_before(errors: bytes) -> tuple[str, str]:
    """The program's number, and what else it has printed before the mark."""
    number, _, rest = errors.partition(MARK)[2].decode("utf-8", "replace").partition("\n")
    return number, rest.strip()


def _exit_code(host: Host, code: int) -> int:
    if code < 0 and host.is_lost:
        raise ConnectionLostError(f"{host.target}: the connection was lost")
    return KILLED if code < 0 else code
