"""How the library asks a person for a password or a code, without touching the terminal itself."""

from __future__ import annotations

from typing import Protocol


class Prompt(Protocol):
    """Somebody who can be asked."""

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        """An answer, or ``None`` where there is nobody to give one. Without ``echo`` it is secret."""
        ...

    def tell(self, text: str) -> None:
        """What a person should read before the next prompt."""
        ...


class NoPrompt:
    """Cannot be asked."""

    def ask(self, prompt: str, *, echo: bool) -> str | None:
        """Give no answer."""
        return None

    def tell(self, text: str) -> None:
        """Say nothing."""
