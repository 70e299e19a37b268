"""Questions to a person, of which each has a default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, TypeVar

from slipway.errors import UsageError

if TYPE_CHECKING:
    from slipway.ssh.prompt import Prompt

_Answer = TypeVar("_Answer")


class Questions:
    """What a person is asked; where nobody answers, the defaults hold."""

    def __init__(self, prompt: Prompt) -> None:
        self._prompt = prompt

    def answer(
        self, question: str, default: str, check: Callable[[str], _Answer], option: str = "--scratch"
    ) -> _Answer:
        """What is answered, asked as often as it takes.

        Raises:
            UsageError: nobody answers, and there is no default.
        """
        shown = f"{question} [{default}]: " if default else f"{question}: "
        while (answer := self._prompt.ask(shown, echo=True)) is not None:
            try:
                return check(answer.strip() or default)
            except UsageError as error:
                self._prompt.tell(str(error).partition(": ")[2])
        if not default:
            raise UsageError(f"{question}: nobody can be asked here; give it with {option}")
        return check(default)

    def choose(self, question: str, names: Sequence[str], default: str) -> str:
        """One of several names."""

        def check(word: str) -> str:
            if word not in names:
                raise UsageError(f"{word}: write one of {', '.join(names)}")
            return word

        return self.answer(f"{question}: {', '.join(names)}", default, check)
