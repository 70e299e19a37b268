"""Lines of a text that comes in pieces."""

from __future__ import annotations

import io


class Lines:
    """Takes pieces, and hands over the lines that are whole; what is no UTF-8 can be printed in them."""

    def __init__(self) -> None:
        self._decoder = io.IncrementalNewlineDecoder(None, translate=True)
        self._lines: list[str] = []
        self._rest = ""

    def add(self, text: str) -> None:
        """Take a piece, as :class:`slipway.job.tail.LogTail` hands it over."""
        *lines, self._rest = (self._rest + self._decoder.decode(_printable(text))).split("\n")
        self._lines += lines

    def take(self, *, final: bool = False) -> list[str]:
        """The lines since the last call; with ``final``, also one that has no end."""
        if final and (rest := self._rest + self._decoder.decode("", final=True)):
            self._lines.append(rest.removesuffix("\n"))
            self._rest = ""
        lines, self._lines = self._lines, []
        return lines


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
