"""A program that runs on a terminal of a host: what it prints from the mark on, and its terminal's size."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slipway.host.program import Program

# A terminal puts a carriage return before each newline, unless a start file has changed that.
_MARK = re.compile(rb"slipway-begins\r*\n")
_CHUNK_BYTES = 1 << 16
_LONGEST_GREETING = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Size:
    """How large a terminal is, in characters."""

    columns: int
    rows: int


class TerminalProgram(Program):
    """A program on a terminal of its own there; it has one output."""

    def wait_for_begin(self) -> bool:
        """Wait until the login shell has come to the program; False where it ended before that."""
        seen = b""
        while (mark := _MARK.search(seen)) is None:
            chunk = self._channel.recv(_CHUNK_BYTES)
            if not chunk:
                self.greeting = seen
                return False
            seen = seen[-_LONGEST_GREETING:] + chunk
        self.greeting, self._rest = seen[: mark.start()], seen[mark.end() :]
        self.has_begun = True
        return True

    def resize(self, size: Size) -> None:
        """Tell it that the terminal here has another size."""
        self._channel.resize_pty(size.columns, size.rows)
