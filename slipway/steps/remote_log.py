"""The log of a monitor on the cluster, line by line as it comes."""

from __future__ import annotations

import codecs
from collections.abc import Callable


class LogLines:
    """The lines of a log that comes in pieces.

    Attributes:
        offset: how much of it has come.
    """

    def __init__(self, on_line: Callable[[str], None]) -> None:
        self.offset = 0
        self._on_line = on_line
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""

    def take(self, piece: bytes) -> None:
        """Hand on the lines that a piece ends."""
        self.offset += len(piece)
        *lines, self._rest = (self._rest + self._decoder.decode(piece)).split("\n")
        for line in lines:
            self._on_line(line)

    def finish(self) -> None:
        """Hand on what has no end."""
        if self._rest:
            self._on_line(self._rest)
