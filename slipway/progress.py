"""How the library tells what it is doing, without printing."""

from __future__ import annotations

from typing import Protocol

from slipway.transfer.protocol import Amount


class Progress(Protocol):
    """Somebody who watches a long step."""

    def step(self, text: str) -> None:
        """A new part of the work begins."""
        ...

    def line(self, text: str) -> None:
        """A line that a program printed meanwhile."""
        ...

    def transfer(self, amount: Amount) -> None:
        """So much has been copied."""
        ...

    def note(self, text: str) -> None:
        """Something that the user should know, and that goes on."""
        ...


class NullProgress:
    """Watches and says nothing."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def line(self, text: str) -> None:
        """Say nothing."""

    def transfer(self, amount: Amount) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""
