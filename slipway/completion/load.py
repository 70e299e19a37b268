"""The grammar of a project's tasks, as Invoke has them; kept, since Invoke takes long to load."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.completion.grammar import Grammar, Option, Task, from_json, to_json
from slipway.project import Project

if TYPE_CHECKING:
    from invoke.parser.argument import Argument
    from invoke.parser.context import ParserContext
    from invoke.program import Program

# Times of content and inode in ns, and size in bytes. The content of all files of a wheel has one time.
Stamp = tuple[int, int, int]


def load_grammar(project: Project, start: Path | None) -> Grammar:
    """The tasks of ``invoke``, or those of ``slipway``.

    They are kept in the project's state, where it has one: Tab makes no folders. What is kept is believed as
    long as all files that it came from look as they did.

    Args:
        project: where they are kept.
        start: where Invoke looks for a ``tasks.py``, there and above. ``None``: Slipway's own tasks are
            wanted, which are taken, too, where that ``tasks.py`` cannot be loaded.
    """
    file = project.state / "completion" / f"{'invoke' if start else 'slipway'}.json"
    source = [sys.version, str(_tasks_file(start) if start else "")]
    kept = _recall(file, source)
    if kept:
        return kept
    before = set(sys.modules)
    grammar = _of_invoke(start) if start else _of_slipway()
    if grammar is None:
        return _of_slipway()
    _keep(file, source, _stamps(set(sys.modules) - before), grammar)
    return grammar


def _tasks_file(start: Path) -> Path | None:
    names = ("tasks.py", "tasks/__init__.py")
    files = (folder / name for folder in (start, *start.parents) for name in names)
    return next((file for file in files if file.is_file()), None)


def _of_slipway() -> Grammar:
    from slipway.cli.program import make_program

    return _grammar(make_program(), ["slipway"])


def _of_invoke(start: Path) -> Grammar | None:
    from invoke.program import Program

    try:
        return _grammar(Program(), ["invoke", "--search-root", str(start)])
    except (Exception, SystemExit):  # whatever a user's file raises
        return None


def _grammar(program: Program, argv: list[str]) -> Grammar:
    from invoke.util import helpline

    program.create_config()
    program.parse_core(argv)
    program.parse_collection()
    tasks = [
        _task(context, helpline(program.collection[str(context.name)]))
        for context in program.collection.to_contexts()
    ]
    return Grammar(tasks=tuple(tasks), core=_options(program.initial_context))


def _task(context: ParserContext, help_: str | None) -> Task:
    # A name with a letter alone is a short option, even if it is the only one.
    places = (name for name, argument in context.flags.items() if argument.positional)
    return Task(
        names=(str(context.name), *context.aliases),
        options=_options(context),
        places=tuple(places),
        help=_short(help_),
    )


def _options(context: ParserContext) -> tuple[Option, ...]:
    options = [_option(context, name, argument) for name, argument in context.flags.items()]
    return tuple(sorted(options, key=lambda option: option.name))


def _option(context: ParserContext, name: str, argument: Argument) -> Option:
    # Of a switch that is on by itself, --no-… is what somebody types.
    inverse = [off for off, flag in context.inverse_flags.items() if flag == name]
    return Option(
        names=(*inverse, *sorted(context.names_for(name), key=lambda one: (not one.startswith("--"), one))),
        takes_value=argument.takes_value,
        optional=argument.optional,
        repeats=argument.kind is list or argument.incrementable,
        help=_short(argument.help),
    )


def _short(help_: str | None) -> str:
    """The first sentence of a text, without the examples behind it."""
    lines = (help_ or "").strip().splitlines() or [""]
    sentence = lines[0].partition(": invoke ")[0].partition(": slipway ")[0].partition(". ")[0]
    return sentence.removesuffix(".")


def _stamps(modules: Iterable[str]) -> dict[str, Stamp | None]:
    """How the files look that modules came from, without Python's own."""
    found = (
        sys.modules.get(name) for name in modules if name.partition(".")[0] not in sys.stdlib_module_names
    )
    files = {getattr(module, "__file__", None) for module in found}
    return {file: _stamp(file) for file in files if isinstance(file, str)}


def _stamp(file: str) -> Stamp | None:
    try:
        status = Path(file).stat()
    except OSError:
        return None
    return (status.st_mtime_ns, status.st_ctime_ns, status.st_size)


def _recall(file: Path, source: Sequence[str]) -> Grammar | None:
    try:
        kept = json.loads(file.read_bytes())
        stamps = {name: tuple(stamp) for name, stamp in kept["stamps"].items()}
        if kept["source"] != source or any(_stamp(name) != stamp for name, stamp in stamps.items()):
            return None
        return from_json(kept["grammar"])
    except (OSError, ValueError, TypeError, LookupError, AttributeError):
        return None


def _keep(file: Path, source: Sequence[str], stamps: Mapping[str, Stamp | None], grammar: Grammar) -> None:
    if not file.parents[1].is_dir() or None in stamps.values():
        return
    part = file.with_suffix(f".{os.getpid()}")
    text = json.dumps({"source": source, "stamps": stamps, "grammar": to_json(grammar)})
    try:
        file.parent.mkdir(exist_ok=True)
        part.write_text(text, encoding="utf-8")
        part.replace(file)
    except OSError:  # it only saves time
        with suppress(OSError):
            part.unlink(missing_ok=True)
