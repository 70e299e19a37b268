"""Words on the command line: runs that are named by their place, and what is no task or option."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from invoke import program
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from slipway.completion.grammar import BY_PLACE
from slipway.errors import UsageError
from slipway.text.command_name import as_typed
from slipway.text.escapes import neutral
from slipway.text.nearest import find_nearest


def read_words() -> None:
    """Have Invoke take ``logs 8xfp`` for ``logs --run 8xfp``, and its own refusals look like Slipway's.

    A refusal names the nearest right word, and has an exit code of its own. Invoke has no better place for
    either: it knows no positional words that may be left out, and ends with 1 for whatever is wrong.
    """
    program.Parser = _Parser  # type: ignore[attr-defined]


class _Parser(Parser):
    def parse_argv(self, argv: Sequence[str]) -> Any:
        try:
            return super().parse_argv(name_runs(argv, self.contexts))
        except ParseError as error:
            if "--complete" in _before_end(sys.argv):
                raise  # Invoke's own completion goes on from here, and says nothing.
            words = _before_end(argv)
            message = f"error: {_plain(str(error))}{self._hint(error, words)}"
            raise Exit(code=UsageError.exit_code, message=neutral(as_typed(message))) from error

    def _hint(self, error: ParseError, words: Sequence[str]) -> str:
        # The one that Invoke names.
        unknown = next((word for word in map(_option, words) if repr(word) in str(error)), "")
        task = error.context
        if task is None or task.name is None:
            return f"{_nearest(unknown, self.contexts)} `invoke --list` shows the tasks"
        flags = {*task.flags, *task.inverse_flags, *(self.initial.flags if self.initial else ())}
        behind = "; what is for the program stands behind `--`" if task.name == "job" else ""
        return f"{_nearest(unknown, flags)} `invoke --help {task.name}` lists its options{behind}"


def name_runs(argv: Sequence[str], tasks: Mapping[str, ParserContext]) -> list[str]:
    """The same words, with ``--run`` before a run that stands alone behind a task that takes one, and so on.

    A word is that where it is no option, no value of one, none that the task wants by its place, and no task.
    """
    words: list[str] = []
    task, places, value_follows = None, list[Argument](), False
    for number, word in enumerate(argv):
        if word == "--":
            return [*words, *argv[number:]]
        if value_follows:
            value_follows = False
        elif word.startswith("-"):
            argument = task.flags.get(_option(word)) if task else None
            places = [place for place in places if place is not argument]
            value_follows = argument is not None and argument.takes_value and "=" not in word
        elif places:
            del places[0]
        elif word in tasks:
            task, places = tasks[word], list(tasks[word].positional_args)
        elif option := next((one for one in BY_PLACE if task and one in task.flags), None):
            words.append(option)
        words.append(word)
    return words


def _before_end(argv: Sequence[str]) -> Sequence[str]:
    return argv[: argv.index("--")] if "--" in argv else argv


def _option(word: str) -> str:
    return word.partition("=")[0] if word.startswith("-") else word


def _plain(message: str) -> str:
    # Invoke shows an option as Python does.
    shown = re.sub(r"<Argument: ([\w-]+)[^>]*>", lambda match: f"--{match[1].replace('_', '-')}", message)
    return shown if shown.endswith((".", "!", "?")) else f"{shown}."


def _nearest(word: str, known: Iterable[str]) -> str:
    found = find_nearest(word, known)
    return f" Did you mean {found}?" if found else ""
