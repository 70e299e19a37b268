"""The page of all tasks with their options, from the collection that ``invoke --list`` shows."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cache
from typing import Any

from invoke.collection import Collection
from invoke.parser.argument import Argument
from invoke.tasks import Task

from manual.table import code, plain, table
from slipway.tasks import slipway_tasks
from slipway.text.command_name import NAME, as_typed

_HEAD = """# Tasks

`slipway --list` shows all tasks, `slipway --help TASK` explains one. `invoke TASK` is the same where a
`tasks.py` has Slipway's tasks, and so is `./run TASK` in a checkout of Slipway. What stands behind `--`
reaches the program as it is typed.

"""

# They give a program what stands behind `--`.
_WITH_WORDS = ("job", "infer", "train", "shell", "enter", "ssh.run")


def all_tasks() -> dict[str, Task[Any]]:
    """All tasks by their full names, in the order of ``invoke --list``."""
    import tasks

    return dict(sorted(_walk(tasks.ns, ""), key=lambda pair: ("." in pair[0], pair[0])))


def own_to_checkout() -> set[str]:
    """The names of the tasks that only Slipway's own checkout has."""
    return set(all_tasks()) - {name for name, _ in _walk(slipway_tasks(__file__), "")}


def page() -> str:
    """The page, as Markdown."""
    tasks = all_tasks()
    summary = table(
        ("task", "what it does"),
        [(f"[`{name}`](#{anchor(name)})", plain(_first_line(one))) for name, one in tasks.items()],
    )
    return _HEAD + as_typed(summary + "".join(_section(name, one) for name, one in tasks.items()), NAME)


def anchor(name: str) -> str:
    """Where the page explains a task."""
    return name.replace(".", "-")


def option(argument: Argument) -> str:
    """An option as it is typed, without its value."""
    return f"--{(argument.name or '').replace('_', '-').strip('-')}"


def _walk(collection: Collection, prefix: str) -> Iterator[tuple[str, Task[Any]]]:
    for name, one in collection.tasks.items():
        yield prefix + collection.transform(name), one
    for name, inner in collection.collections.items():
        yield from _walk(inner, f"{prefix}{collection.transform(name)}.")


def _first_line(one: Task[Any]) -> str:
    return (inspect.getdoc(one) or "").partition("\n")[0]


@cache
def arguments(name: str) -> tuple[Argument, ...]:
    """A task's options and words. Asked once, since Invoke gives their help away only once."""
    return tuple(all_tasks()[name].get_arguments())


def _section(name: str, one: Task[Any]) -> str:
    options = arguments(name)
    said = (inspect.getdoc(one) or "").strip()
    if name in own_to_checkout():
        said += "\n\nOnly in a checkout of Slipway itself."
    text = f"\n## `{name}` {{#{anchor(name)}}}\n\n{plain(said)}\n\n"
    places = [argument for argument in options if argument.positional]
    start = "./run" if name in own_to_checkout() else NAME
    words = " ".join([start, name, *((argument.name or "").upper() for argument in places)])
    words += " [RUN]" if any(argument.name == "run" for argument in options) else ""
    words += " [OPTIONS]" if len(options) > len(places) else ""
    text += f"```bash\n{words}{' -- WORDS' if name in _WITH_WORDS else ''}\n```\n"
    rows = [(_shown(argument), plain(argument.help or ""), _default(argument)) for argument in options]
    return text + ("\n" + table(("option", "what it says", "default"), rows) if rows else "")


def _shown(argument: Argument) -> str:
    if argument.positional:
        return code((argument.name or "").upper())
    return code(option(argument) + (" VALUE" if argument.takes_value else ""))


def _default(argument: Argument) -> str:
    if argument.kind is list:
        return "may be repeated"
    return code(str(argument.default)) if argument.takes_value and argument.default is not None else ""
