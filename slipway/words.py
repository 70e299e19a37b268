"""Words on the command line that are none of Slipway's tasks or options."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from typing import Any

from invoke import program
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser

from slipway.errors import UsageError


def explain_unknown_words() -> None:
    """Have Invoke's own refusals look like Slipway's: the nearest right word, and an exit code of their own.

    Invoke has no better place for it: it gives the parser no argument, and ends with 1 for whatever is wrong.
    """
    program.Parser = _Parser  # type: ignore[attr-defined]


class _Parser(Parser):
    def parse_argv(self, argv: Sequence[str]) -> Any:
        try:
            return super().parse_argv(list(argv))
        except ParseError as error:
            words = argv[: argv.index("--")] if "--" in argv else argv
            message = f"error: {_plain(str(error))}{self._hint(error, words)}"
            raise Exit(code=UsageError.exit_code, message=message) from error

    def _hint(self, error: ParseError, words: Sequence[str]) -> str:
        # The one that Invoke names.
        unknown = next((word for word in map(_option, words) if repr(word) in str(error)), "")
        task = error.context
        if task is None or task.name is None:
            return f"{_nearest(unknown, self.contexts)} `invoke --list` shows the tasks"
        flags = {*task.flags, *task.inverse_flags, *(self.initial.flags if self.initial else ())}
        behind = "; what is for the program stands behind `--`" if task.name == "job" else ""
        return f"{_nearest(unknown, flags)} `invoke --help {task.name}` lists its options{behind}"


def _option(word: str) -> str:
    return word.partition("=")[0] if word.startswith("-") else word


def _plain(message: str) -> str:
    # Invoke shows an option as Python does.
    shown = re.sub(r"<Argument: ([\w-]+)[^>]*>", lambda match: f"--{match[1].replace('_', '-')}", message)
    return shown if shown.endswith((".", "!", "?")) else f"{shown}."


def _nearest(word: str, known: Iterable[str]) -> str:
    # That of slipway.profile comes with packages that the list of tasks does without.
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" Did you mean {close[0]}?" if close else ""
