"""A program that runs on a host: its input, and its outputs from the mark on."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slipway.host.command_line import MARK

if TYPE_CHECKING:
    from slipway.ssh.transport import Channel

_CHUNK_BYTES = 1 << 16
_LONGEST_GREETING = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a program ended: its exit code, negative where a signal killed it, and what it printed.

    Attributes:
        has_begun: False where the login shell never came to it; then both outputs are the login shell's.
    """

    has_begun: bool
    exit_code: int
    stdout: bytes
    stderr: bytes


class Program:
    """A program on a channel of its own.

    Attributes:
        greeting: what the login shell has printed before the program began.
        has_begun: True after :meth:`wait_for_begin` has seen it begin.
    """

    def __init__(self, channel: Channel) -> None:
        self.greeting = b""
        self.has_begun = False
        self._channel = channel
        self._rest = b""

    def wait_for_begin(self) -> bool:
        """Wait until the login shell has come to the program; False where it ended before that."""
        seen = b""
        while MARK not in seen:
            chunk = self._channel.recv(_CHUNK_BYTES)
            if not chunk:
                self.greeting = seen
                return False
            seen = seen[-_LONGEST_GREETING:] + chunk
        self.greeting, _, self._rest = seen.partition(MARK)
        self.has_begun = True
        return True

    def recv(self, size_bytes: int) -> bytes:
        """Some of what the program prints, at most so much; nothing at the end."""
        if not self._rest:
            return self._channel.recv(size_bytes)
        chunk, self._rest = self._rest[:size_bytes], self._rest[size_bytes:]
        return chunk

    def chunks(self) -> Iterator[bytes]:
        """All that it prints, as it comes."""
        return iter(lambda: self.recv(_CHUNK_BYTES), b"")

    def recv_errors(self, size_bytes: int) -> bytes:
        """Some of what it and its login shell print on standard error; nothing at the end."""
        return self._channel.recv_stderr(size_bytes)

    def lines(self) -> Iterator[bytes]:
        """The lines that it prints, as they come, without their ends."""
        begun = b""
        for chunk in self.chunks():
            *whole, begun = (begun + chunk).split(b"\n")
            yield from whole
        if begun:
            yield begun

    def send(self, content: bytes) -> None:
        """Hand it some of its input."""
        self._channel.sendall(content)

    def end_input(self) -> None:
        """Hand it the end of its input."""
        self._channel.shutdown_write()

    def feed(self, content: bytes) -> None:
        """Hand it all of its input, in another thread, since it may print before it has read everything.

        Not before it has begun: a start file that reads would take it.
        """

        def speak() -> None:
            # A program may end before it has read everything; that is not this side's error. A connection
            # that is lost is told by the thread that waits for the answer.
            with suppress(OSError, EOFError):
                self.send(content)
                self.end_input()

        threading.Thread(target=speak, daemon=True).start()

    def finish(self, content: bytes) -> Ending:
        """Hand it its input, and wait for its end."""
        errors: list[bytes] = []
        listener = threading.Thread(target=lambda: errors.append(self._all_errors()), daemon=True)
        listener.start()
        if not content:
            self.feed(b"")
        if self.wait_for_begin() and content:
            self.feed(content)
        output = b"".join(self.chunks())
        listener.join()
        return Ending(
            has_begun=self.has_begun,
            exit_code=self.exit_code(),
            stdout=output if self.has_begun else self.greeting,
            stderr=self._own(b"".join(errors)),
        )

    def close(self) -> None:
        """Give it up."""
        self._channel.close()

    def exit_code(self) -> int:
        """Wait for its end; negative where it was killed by a signal, or where the connection was lost."""
        return self._channel.recv_exit_status()

    def errors(self) -> bytes:
        """All that it printed on its standard error, once that has ended."""
        return self._own(self._all_errors())

    def _all_errors(self) -> bytes:
        return b"".join(iter(lambda: self._channel.recv_stderr(_CHUNK_BYTES), b""))

    def _own(self, errors: bytes) -> bytes:
        before, mark, after = errors.partition(MARK)
        return after if mark else before
