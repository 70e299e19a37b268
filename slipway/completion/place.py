"""The place of the cursor: what the words before it make of the word that is being typed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from slipway.completion.grammar import Grammar, Option, Task, find_option

# What stands behind it is for the program.
END = "--"


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the cursor is.

    Attributes:
        text: what is typed of the word, up to the cursor.
        task: the task whose options stand here; ``None`` before the first.
        given: the values of each option of this task that stands before the cursor, by its long name.
        option: the option whose value is wanted; ``None`` where a task or an option is.
        prefix: what of the word stands before that value: ``--profile=``, else nothing.
        program: the words behind ``--``, where the cursor is behind it.
    """

    text: str
    task: Task | None = None
    given: Mapping[str, Sequence[str]] = field(default_factory=dict)
    option: Option | None = None
    prefix: str = ""
    program: tuple[str, ...] | None = None

    @property
    def value(self) -> str:
        """What is typed of the value."""
        return self.text[len(self.prefix) :]

    def last(self, name: str) -> str | None:
        """The value of an option, the last one where it was given twice."""
        values = self.given.get(name)
        return values[-1] if values else None


def find_place(grammar: Grammar, words: Sequence[str]) -> Place:
    """Where the cursor is.

    Args:
        grammar: what may be typed.
        words: those behind the command's name, up to the cursor; the last one is being typed, or empty.
    """
    before, text = words[:-1], words[-1]
    walk = _Walk(grammar)
    end = before.index(END) if END in before else len(before)
    for word in before[:end]:
        walk.read(word)
    if end < len(before):
        return walk.place(text, program=tuple(before[end + 1 :]))
    return walk.finish(text)


class _Walk:
    """Reads words from left to right, as :func:`slipway.cli.parser.name_runs` and Invoke do."""

    def __init__(self, grammar: Grammar) -> None:
        self.grammar = grammar
        self.task: Task | None = None
        self.given: dict[str, list[str]] = {}
        # Options whose values are taken by their place and still missing.
        self.places: list[Option] = []
        self.waiting: Option | None = None

    def read(self, word: str) -> None:
        waiting, self.waiting = self.waiting, None
        if waiting and not (waiting.optional and word.startswith("-")):
            self._give(waiting, word)
        elif word.startswith("-"):
            self._read_option(word)
        elif self.places:
            self._give(self.places[0], word)
        elif task := self.grammar.task(word):
            self.task, self.given = task, {}
            found = (task.option(name) for name in task.places)
            self.places = [option for option in found if option]
        elif self.task and (option := self.task.by_place):
            self._give(option, word)

    def finish(self, text: str) -> Place:
        if self.waiting and not (self.waiting.optional and text.startswith("-")):
            return self.place(text, option=self.waiting)
        if text.startswith("-"):
            name, equals, _ = text.partition("=")
            option = self._option(name) if equals else None
            if option and option.takes_value:
                return self.place(text, option=option, prefix=name + equals)
            return self.place(text)
        return self.place(text, option=self.places[0] if self.places else None)

    def place(
        self,
        text: str,
        *,
        option: Option | None = None,
        prefix: str = "",
        program: tuple[str, ...] | None = None,
    ) -> Place:
        return Place(
            text=text, task=self.task, given=self.given, option=option, prefix=prefix, program=program
        )

    def _read_option(self, word: str) -> None:
        name, equals, value = word.partition("=")
        option = self._option(name)
        if option is None and not name.startswith("--"):
            # A short one with its value, or several: -pcpu, -qv.
            option, equals, value = self._option(name[:2]), "=", name[2:]
        if option is None:
            return
        if option.takes_value and not equals and not self._is_help(option):
            self.given.setdefault(option.name, [])
            self.waiting = option
        else:
            self._give(option, value)

    def _is_help(self, option: Option) -> bool:
        # Behind a task, --help is about that task.
        return self.task is not None and option.name == "--help"

    def _option(self, name: str) -> Option | None:
        own = self.task.option(name) if self.task else None
        return own or find_option(self.grammar.core, name)

    def _give(self, option: Option, value: str) -> None:
        self.given.setdefault(option.name, []).append(value)
        self.places = [place for place in self.places if place is not option]
