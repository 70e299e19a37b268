"""A program whose bytes pass as they are, on a channel of its own, behind whatever starts it and may print.

A login shell's start files print, and so does what a site puts around its scheduler. A mark goes before what
the program itself prints, on both outputs.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from slipway.errors import ConnectionLostError, SlipwayError
from slipway.host.host import KILLED, Host
from slipway.host.program import Program

_CHUNK_BYTES = 1 << 16
_LONGEST_GREETING = 1 << 20
# Lines of text, since what is around a scheduler may look for some.
_MARKED = r"""printf '\nslipway-%s\n' "$0"; printf '\nslipway-%s\n' "$0" >&2; exec "$@" """
# Start files get no input.
_LOGIN = 'exec 3<&0 </dev/null; exec bash -lc \'exec "$@" <&3 3<&-\' slipway "$@"'


def marked_command(argv: Sequence[str], token: str) -> list[str]:
    """The argv that prints :func:`mark` and then is a program."""
    return ["sh", "-c", _MARKED, token, *argv]


def mark(token: str) -> bytes:
    """What stands before the program's own output."""
    return b"\nslipway-%s\n" % token.encode()


def login_command(argv: Sequence[str]) -> list[str]:
    """The argv that starts a program with a login shell's environment."""
    return ["sh", "-c", _LOGIN, "slipway", *argv]


def new_token() -> str:
    """What no start file prints."""
    return secrets.token_hex(8)


class MarkedProgram:
    """A program on a channel. One thread may read its output, and one its errors."""

    def __init__(self, host: Host, program: Program, token: str) -> None:
        self._host = host
        self._program = program
        self._mark = mark(token)
        self._rest = {"output": b"", "errors": b""}
        self._greeting = b""

    def wait_for_begin(self) -> bool:
        """Wait until the mark comes; false where what starts the program ended before that."""
        if not self._program.wait_for_begin():
            self._greeting = self._program.greeting
            return False
        self._greeting, has_begun = self._skip("output")
        return has_begun

    def output(self) -> Iterator[bytes]:
        """What it prints, as it comes, after :meth:`wait_for_begin`."""
        return self._chunks("output")

    def errors(self) -> Iterator[bytes]:
        """What it prints on standard error, as it comes; where it has not begun, what came in its place."""
        before, has_begun = self._skip("errors")
        if not has_begun:
            yield before
        yield from self._chunks("errors")

    def send(self, content: bytes) -> None:
        """Hand it some of its input."""
        self._program.send(content)

    def end_input(self) -> None:
        """Hand it the end of its input."""
        self._program.end_input()

    def exit_code(self) -> int:
        """Wait for its end; 128 where a signal killed it.

        Raises:
            ConnectionLostError: the connection was lost before that.
        """
        code = self._program.exit_code()
        if code < 0 and self._host.is_lost:
            raise ConnectionLostError(f"{self._host.target}: the connection was lost; try again")
        return KILLED if code < 0 else code

    def no_begin(self) -> SlipwayError:
        """Why the login shell has ended before the program."""
        self._host.say_why_no_files()
        return self._host.no_begin(self._greeting)

    @property
    def has_login(self) -> bool:
        """True where the login shell has come to what it was told to start."""
        return self._program.has_begun

    def close(self) -> None:
        """Hear no more of it."""
        self._program.close()

    def _receive(self, kind: str) -> bytes:
        if self._rest[kind]:
            chunk, self._rest[kind] = self._rest[kind], b""
            return chunk
        receive = self._program.recv if kind == "output" else self._program.recv_errors
        return receive(_CHUNK_BYTES)

    def _chunks(self, kind: str) -> Iterator[bytes]:
        return iter(lambda: self._receive(kind), b"")

    def _skip(self, kind: str) -> tuple[bytes, bool]:
        """What comes before the mark, and whether the mark came."""
        seen = b""
        while self._mark not in seen:
            chunk = self._receive(kind)
            if not chunk:
                return seen, False
            seen = seen[-_LONGEST_GREETING:] + chunk
        before, _, self._rest[kind] = seen.partition(self._mark)
        return before, True


@contextmanager
def start_marked(
    host: Host, argv: Sequence[str], within: Callable[[Sequence[str]], Sequence[str]]
) -> Iterator[MarkedProgram]:
    """Start a program, for those who move its bytes themselves.

    Args:
        host: the login node.
        argv: the program and its arguments.
        within: the argv by which such an argv is started there, such as :func:`login_command`.

    Raises:
        TransferOnlyError: the host runs no commands for this user.
        ConnectionLostError: the connection was lost.
    """
    token = new_token()
    with host.start(within(marked_command(argv, token))) as program:
        yield MarkedProgram(host, program, token)
