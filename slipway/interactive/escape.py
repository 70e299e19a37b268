"""The keys by which a person leaves a program that does not answer, as ssh has them. Pure."""

from __future__ import annotations

_ENDS = b"\r\n"


class Escape:
    """Looks for ``~.`` at the beginning of a line, in what is typed.

    The ``~`` is held back until the next key tells what it is; ``~~`` is one ``~``.
    """

    def __init__(self) -> None:
        self._at_start = True
        self._held = False

    def feed(self, typed: bytes) -> bytes | None:
        """What of this is to be sent; ``None`` where the person wants to leave."""
        sent = bytearray()
        for value in typed:
            if self._held:
                self._held = False
                if value == ord("."):
                    return None
                sent += b"~"
                if value == ord("~"):
                    self._at_start = False
                    continue
            elif self._at_start and value == ord("~"):
                self._held = True
                continue
            sent.append(value)
            self._at_start = value in _ENDS
        return bytes(sent)
