"""A login shell that stays open: programs run in it one after the other, for one round trip each.

A login shell reads its start files, which takes longer than most commands, and a channel of its own costs a
command two round trips more. The start files have nothing to read. The loop reads a line with a token and two
sizes, then so many bytes of a script, then so many of its input. Marks with the token stand before and behind
what the script prints, and behind the last one its exit code.
"""

from __future__ import annotations

import secrets
import shlex
import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import dataclass
from typing import TypeVar

from slipway.errors import SshError
from slipway.host.program import Program

_CHUNK_BYTES = 1 << 16
# An exit code, and what was printed on the two outputs.
Ended = tuple[int, bytes, bytes]
_Answer = TypeVar("_Answer")
# The exit code of a program that was not run, since the one before it has failed.
_SKIPPED = 125
# What a script has not read of its input must not be taken for the next one.
_LOOP = r"""
unset TMOUT
while IFS=' ' read -r token script_bytes input_bytes; do
    script=$(head -c "$script_bytes"; echo .)
    script=${script%.}
    printf '\0b%s\0' "$token"
    printf '\0b%s\0' "$token" >&2
    if [ "$input_bytes" = 0 ]; then
        (eval "$script") </dev/null
        code=$?
    else
        head -c "$input_bytes" | { (eval "$script"); code=$?; cat >/dev/null; exit "$code"; }
        code=$?
    fi
    printf '\0e%s\0' "$token" >&2
    printf '\0e%s\0%s\0' "$token" "$code"
done
"""


def open_shell_command() -> list[str]:
    """The argv of the loop, in a login shell's environment."""
    begin = 'exec 3<&0 </dev/null; exec bash -lc \'exec "$@" <&3 3<&-\' slipway sh -c "$1"'
    return ["sh", "-c", begin, "slipway", _LOOP]


class ShellEndedError(EOFError):
    """The shell has ended, or the connection was lost; ``printed`` is what it printed last."""

    def __init__(self, printed: bytes) -> None:
        super().__init__("the login shell has ended")
        self.printed = printed


@dataclass(frozen=True, kw_only=True)
class Step:
    """A program that is one of several: its argv, and its input with its size in bytes."""

    argv: Sequence[str]
    stdin: Iterable[bytes] = ()
    stdin_bytes: int = 0


class OpenShell:
    """The shell, on a channel of its own. One thread at a time may use it."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._left = {"output": b"", "errors": b""}

    def run(self, argv: Sequence[str], chunks: Iterable[bytes], input_bytes: int) -> Ended:
        """Run a program to its end, with the ``input_bytes`` bytes of ``chunks`` as its input.

        All of that is sent before anything is read, so it must not print much before it has read everything.

        Returns:
            The exit code, and what it printed on its two outputs.

        Raises:
            ShellEndedError: the shell has ended.
        """
        return self._end(self._begin(f"exec {shlex.join(argv)}", chunks, input_bytes))

    def run_all(self, scripts: Sequence[str]) -> list[Ended]:
        """Run scripts of sh one after the other, without input; all are sent before the first is answered.

        So they must not print much.

        Raises:
            ShellEndedError: the shell has ended.
        """
        tokens = [self._begin(script) for script in scripts]
        return [self._end(token) for token in tokens]

    def run_in_turn(self, steps: Sequence[Step]) -> list[Ended]:
        """Run programs one after the other, up to the first that fails; see :meth:`run_all`.

        Returns:
            What came of those that were run: the last of them is the one that has failed, if one has.
        """
        tokens: list[str] = []
        for step in steps:
            only_if = f'[ "$code" = 0 ] || exit {_SKIPPED}\n' if tokens else ""
            line = f"{only_if}exec {shlex.join(step.argv)}"
            tokens.append(self._begin(line, step.stdin, step.stdin_bytes))
        ended = [self._end(token) for token in tokens]
        good = next((place for place, one in enumerate(ended) if one[0] != 0), len(ended))
        return ended[: good + 1]

    def _begin(self, text: str, chunks: Iterable[bytes] = (), input_bytes: int = 0) -> str:
        token = secrets.token_hex(8)
        script = text.encode("utf-8", "surrogateescape")
        try:
            self._program.send(b"%s %d %d\n" % (token.encode(), len(script), input_bytes) + script)
            for chunk in chunks:
                self._program.send(chunk)
        except OSError as error:
            printed = b"".join(iter(lambda: self._program.recv(_CHUNK_BYTES), b""))
            raise ShellEndedError(self._left["output"] + printed) from error
        return token

    def _end(self, token: str) -> Ended:
        output = self._read("output", self._program.recv, token)
        code = self._until("output", self._program.recv, b"\0")
        return int(code), output, self._read("errors", self._program.recv_errors, token)

    def _read(self, kind: str, receive: Callable[[int], bytes], token: str) -> bytes:
        self._until(kind, receive, f"\0b{token}\0".encode())
        return self._until(kind, receive, f"\0e{token}\0".encode())

    def _until(self, kind: str, receive: Callable[[int], bytes], mark: bytes) -> bytes:
        """What comes before a mark."""
        seen = bytearray(self._left[kind])
        searched = 0
        while (place := seen.find(mark, searched)) < 0:
            searched = max(0, len(seen) - len(mark))
            chunk = receive(_CHUNK_BYTES)
            if not chunk:
                raise ShellEndedError(bytes(seen))
            seen += chunk
        self._left[kind] = bytes(seen[place + len(mark) :])
        return bytes(seen[:place])


class ShellTimeoutError(Exception):
    """A program did not end in time."""


class KeptShell:
    """The shell that is kept open: started where it is needed, and again where it has ended."""

    def __init__(self, start: Callable[[Sequence[str]], AbstractContextManager[Program]]) -> None:
        self._start = start
        self._shell: OpenShell | None = None
        self._stack = ExitStack()

    def run(
        self, argv: Sequence[str], chunks: Iterable[bytes], input_bytes: int, timeout_s: float | None
    ) -> Ended:
        """See :meth:`OpenShell.run`.

        Raises:
            ShellTimeoutError: the program did not end within ``timeout_s`` seconds.
            ShellEndedError: the shell has ended.
        """
        return self._use(lambda shell: shell.run(argv, chunks, input_bytes), timeout_s)

    def run_all(self, scripts: Sequence[str], timeout_s: float) -> list[Ended]:
        """See :meth:`OpenShell.run_all`; raises as :meth:`run`, where all did not end in time."""
        return self._use(lambda shell: shell.run_all(scripts), timeout_s)

    def run_in_turn(self, steps: Sequence[Step], timeout_s: float | None) -> list[Ended]:
        """See :meth:`OpenShell.run_in_turn`; raises as :meth:`run`."""
        return self._use(lambda shell: shell.run_in_turn(steps), timeout_s)

    def _use(self, act: Callable[[OpenShell], _Answer], timeout_s: float | None) -> _Answer:
        expired = threading.Event()

        def expire() -> None:
            expired.set()
            self.close()

        timer = threading.Timer(timeout_s or 0, expire)
        timer.daemon = True
        try:
            shell = self._open()
            if timeout_s is not None:
                timer.start()
            return act(shell)
        except BaseException as error:
            self.close()
            if expired.is_set():
                raise ShellTimeoutError from error
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        """End it; the next program starts another. One whose connection was lost has ended already."""
        stack, self._stack, self._shell = self._stack, ExitStack(), None
        with suppress(OSError, EOFError, SshError):
            stack.close()

    def _open(self) -> OpenShell:
        if self._shell is None:
            self._shell = OpenShell(self._stack.enter_context(self._start(open_shell_command())))
        return self._shell
