"""What may be typed: tasks and their options, as a value that is kept as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

# Options that may be left out, and whose values may stand alone: `logs 8xfp`; see slipway.cli.parser.
BY_PLACE = ("--run", "--shell")
# Tasks that take a site likewise: `login hpc`. Others have what is no option before or behind theirs.
SITE_BY_PLACE = frozenset({"doctor", "login", "logout", "queues"})


@dataclass(frozen=True, kw_only=True)
class Option:
    """One option of a task or of the program itself.

    Attributes:
        names: as typed, the long one first: ``--profile``, ``-p``.
        takes_value: false for a switch.
        optional: its value may be left out.
        repeats: it may be given more than once.
        help: in one line.
    """

    names: tuple[str, ...]
    takes_value: bool = False
    optional: bool = False
    repeats: bool = False
    help: str = ""

    @property
    def name(self) -> str:
        """The long name."""
        return self.names[0]


@dataclass(frozen=True, kw_only=True)
class Task:
    """One task.

    Attributes:
        names: its name, then its aliases.
        options: in the order of their names.
        places: options whose values it needs, and takes by their place, too.
        help: in one line.
    """

    names: tuple[str, ...]
    options: tuple[Option, ...] = ()
    places: tuple[str, ...] = ()
    help: str = ""

    @property
    def name(self) -> str:
        """Its name."""
        return self.names[0]

    def option(self, name: str) -> Option | None:
        """The option of a name, long or short."""
        return find_option(self.options, name)

    @property
    def by_place(self) -> Option | None:
        """The option whose value may stand alone; see :data:`BY_PLACE`."""
        return next((option for name in places_of(self.name) if (option := self.option(name))), None)


@dataclass(frozen=True, kw_only=True)
class Grammar:
    """All tasks, and the options of the program itself, which stand before the first task."""

    tasks: tuple[Task, ...]
    core: tuple[Option, ...] = ()

    def task(self, name: str) -> Task | None:
        """The task of a name or an alias."""
        return next((task for task in self.tasks if name in task.names), None)


def places_of(task: str) -> tuple[str, ...]:
    """The options whose values may stand alone behind a task, by its name."""
    return (*BY_PLACE, "--site") if task in SITE_BY_PLACE else BY_PLACE


def find_option(options: Iterable[Option], name: str) -> Option | None:
    """The option that has a name, long or short."""
    return next((option for option in options if name in option.names), None)


def to_json(grammar: Grammar) -> dict[str, Any]:
    """The grammar as JSON has it."""
    return asdict(grammar)


def from_json(values: Mapping[str, Any]) -> Grammar:
    """The grammar that :func:`to_json` made these values of.

    Raises:
        KeyError, TypeError: they are of another form.
    """
    tasks = (
        Task(**{**task, **_tuples(task, "names", "places"), "options": _options(task["options"])})
        for task in values["tasks"]
    )
    return Grammar(tasks=tuple(tasks), core=_options(values["core"]))


def _options(rows: Iterable[Mapping[str, Any]]) -> tuple[Option, ...]:
    return tuple(Option(**{**row, **_tuples(row, "names")}) for row in rows)


def _tuples(row: Mapping[str, Any], *keys: str) -> dict[str, tuple[Any, ...]]:
    return {key: tuple(row[key]) for key in keys}
