"""How the library tells what it is doing, without printing."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Somebody who watches a long step."""

    def step(self, text: str) -> None:
        """A new part of the work begins."""
        ...

    def line(self, text: str) -> None:
        """A line that a program printed meanwhile."""
        ...

    def note(self, text: str) -> None:
        """Something that is no failure, and that a person should know."""
        ...

    def transfer(self, done_bytes: int, percent: int, rate: str) -> None:
        """So much has been copied."""
        ...


class Silence:
    """Watches and says nothing."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def line(self, text: str) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""

    def transfer(self, done_bytes: int, percent: int, rate: str) -> None:
        """Say nothing."""
