"""Words on the command line: runs that are named by their place, and what is no task or option."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from invoke import program
from invoke.exceptions import Exit, ParseError
from invoke.parser import Parser
from invoke.parser.argument import Argument
from invoke.parser.context import ParserContext

from slipway.completion.grammar import places_of
from slipway.errors import UsageError
from slipway.text.nearest import find_nearest

# Behind `--` these have a program and its arguments.
WITH_PROGRAM = ("job", "infer", "train", "sweep", "shell", "enter", "ssh.run")
# What the payload does, and short forms of `job --config` as well.
_MODES = ("infer", "train")
# What other tools call it.
_OTHER_NAMES = {
    **dict.fromkeys(("run", "submit", "launch", "sbatch", "srun", "exec"), "job"),
    **dict.fromkeys(("ps", "ls", "list", "runs", "jobs", "queue", "squeue", "sacct"), "status"),
    **dict.fromkeys(("partitions", "sinfo"), "queues"),
    **dict.fromkeys(("kill", "rm", "scancel"), "cancel"),
    **dict.fromkeys(("log", "tail", "attach"), "logs"),
    **dict.fromkeys(("get", "fetch", "download", "results", "sync"), "pull"),
    **dict.fromkeys(("upload", "data", "put"), "stage"),
    **dict.fromkeys(("new", "setup"), "init"),
    **dict.fromkeys(("resubmit", "rerun", "requeue", "again"), "retry"),
    "up": "box.up",
    **dict.fromkeys(("salloc", "interactive", "bash", "terminal", "join"), "shell"),
    **dict.fromkeys(("check", "diagnose", "verify"), "doctor"),
    "down": "box.down",
    "trust": "ssh.trust",
}


def read_words() -> None:
    """Have Invoke take ``logs 8xfp`` for ``logs --run 8xfp``, and its own refusals look like Slipway's.

    A refusal names the nearest right word, and has an exit code of its own. Invoke has no better place for
    either: it knows no positional words that may be left out, and ends with 1 for whatever is wrong.
    """
    program.Parser = _Parser  # type: ignore[attr-defined]


class _Parser(Parser):
    def parse_argv(self, argv: Sequence[str]) -> Any:
        try:
            if "--complete" not in _before_end(sys.argv):
                check_values(argv, self.contexts)
                check_program(argv, self.contexts)
            return self._parse_named(name_runs(argv, self.contexts))
        except ParseError as error:
            if "--complete" in _before_end(sys.argv):
                raise  # Invoke's own completion goes on from here, and says nothing.
            raise refuse(error, argv, self.contexts, self.initial) from error

    def _parse_named(self, argv: list[str]) -> Any:
        """Parse with the tasks alone that are named: Invoke copies all, which takes longer than to parse."""
        every: Any = self.contexts
        named = type(every)()
        for word in {part for one in _before_end(argv) for part in (one, one.partition("=")[2])}:
            if word in every and every[word].name not in named:
                task = every[word]
                named[task.name] = task
                for alias in task.aliases:
                    named.alias(alias, to=task.name)
        self.contexts = named
        try:
            return super().parse_argv(argv)
        finally:
            self.contexts = every


def refuse(
    error: ParseError,
    argv: Sequence[str],
    tasks: Mapping[str, ParserContext],
    core: ParserContext | None = None,
) -> Exit:
    """What Invoke says of words that it does not know, with what may have been meant, and an exit code."""
    words = _before_end(argv)
    # The one that Invoke names.
    unknown = next((word for word in map(_option, words) if repr(word) in str(error)), "")
    task = error.context
    if task is None or task.name is None:
        hint = f"{_meant(unknown, tasks)} `invoke --list` shows the tasks"
    else:
        flags = {*task.flags, *task.inverse_flags, *(core.flags if core else ())}
        hint = "" if unknown in _MODES else _nearest(unknown, flags)
        hint += f" `invoke --help {task.name}` lists its options"
        hint += _behind_end(argv, unknown) if task.name in WITH_PROGRAM else ""
    from slipway.terminal.terminal import Terminal

    message = Terminal().fit_error(f"{_plain(str(error))}{hint}")
    return Exit(code=UsageError.exit_code, message=message)


def usage(task: ParserContext) -> str:
    """How a task is called, in one line: ``job [--options] [-- PROGRAM ARGUMENTS]``."""
    places = [str(argument.name).upper().replace("_", "-") for argument in task.positional_args]
    places += [f"[{option.strip('-').upper()}]" for option in _alone(task)]
    places += ["[--options]"] if task.flags else []
    places += ["[-- PROGRAM ARGUMENTS]"] if task.name in WITH_PROGRAM else []
    return " ".join([str(task.name), *places])


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
        elif word in ("--help", "-h") and places:
            # Else Invoke would take it for what the task wants by its place, which nobody has who asks.
            words += [str(place.name) for place in places]
            places = []
        elif word.startswith("-"):
            argument = task.flags.get(_option(word)) if task else None
            places = [place for place in places if place is not argument]
            value_follows = argument is not None and argument.takes_value and "=" not in word
        elif places:
            del places[0]
        elif word in tasks:
            task, places = tasks[word], list(tasks[word].positional_args)
        elif task and (alone := _alone(task)):
            words.append(alone[0])
        words.append(word)
    return words


def _alone(task: ParserContext) -> list[str]:
    """The options of a task whose values may stand alone."""
    return [option for option in places_of(str(task.name)) if option in task.flags]


def check_values(argv: Sequence[str], tasks: Mapping[str, ParserContext]) -> None:
    """Refuse an option that may be repeated and has no value; Invoke says that of all others.

    Without it, ``runs.prune --older-than 30d --run $UNSET`` would remove more than was meant.

    Raises:
        ParseError: there is such an option.
    """
    task, open_flag, value_follows = None, None, False
    for word in [*_before_end(argv), None]:
        flags = {*task.flags, *task.inverse_flags} if task else set()
        if open_flag is not None and (word is None or _option(word) in flags):
            raise ParseError(f"Flag {open_flag} needed value and was not given one!", task)
        is_value, open_flag, value_follows = open_flag is not None or value_follows, None, False
        if is_value or word is None:
            continue
        if word in tasks:
            task = tasks[word]
        elif task and word in task.flags:
            open_flag = word if task.flags[word].kind is list else None
            value_follows = task.flags[word].takes_value and not task.flags[word].optional


def check_program(argv: Sequence[str], tasks: Mapping[str, ParserContext]) -> None:
    """Refuse ``job train …``, which would submit a job without words, and then start another task.

    Raises:
        ParseError: a word behind `job` and its options is such a task.
    """
    task, value_follows = None, False
    for word in _before_end(argv):
        if value_follows:
            value_follows = False
        elif word.startswith("-"):
            argument = task.flags.get(_option(word)) if task else None
            takes_value = argument is not None and argument.takes_value and not argument.optional
            value_follows = takes_value and "=" not in word
        elif task is not None and task.name == "job" and word in _MODES:
            raise ParseError(
                f"{word!r} behind job is a task of its own, and no word of job's program (the payload's is "
                f"--task {word}).",
                task,
            )
        else:
            task = tasks.get(word, task)


def _before_end(argv: Sequence[str]) -> Sequence[str]:
    return argv[: argv.index("--")] if "--" in argv else argv


def _option(word: str) -> str:
    return word.partition("=")[0] if word.startswith("-") else word


def _plain(message: str) -> str:
    missing = re.fullmatch(r"'([\w.]+)' did not receive required positional arguments: (.+)", message)
    if missing:
        places = re.sub(r"[',]", "", missing[2]).upper()
        return f"{missing[1]} needs {places}: `invoke {missing[1]} {places}`."
    # Invoke shows an option as Python does.
    shown = re.sub(r"<Argument: ([\w-]+)[^>]*>", lambda match: f"--{match[1].replace('_', '-')}", message)
    return shown if shown.endswith((".", "!", "?")) else f"{shown}."


def _behind_end(argv: Sequence[str], unknown: str) -> str:
    """Where the program's words stand, with the line that is likely meant, where that can be told."""
    behind = "; what is for the program stands behind `--`"
    at = argv.index(unknown) if unknown in argv else 0
    # Before it stands at least the task itself.
    if "--" in argv or unknown.startswith("-") or at == 0:
        return behind
    return f"{behind}: `invoke {shlex.join(argv[:at])} -- {shlex.join(argv[at:])}`"


def _meant(word: str, tasks: Iterable[str]) -> str:
    """The task, or those of a collection, that a word stands for: a slip, or another tool's name for it."""
    known = list(tasks)
    members = [task for task in known if task.startswith(f"{word}.")] if word else []
    if members:
        return f" Did you mean {' or '.join(sorted(members))}?"
    other = _OTHER_NAMES.get(word.lower())
    return f" Did you mean {other}?" if other in known else _nearest(word, known)


def _nearest(word: str, known: Iterable[str]) -> str:
    found = find_nearest(word, known)
    return f" Did you mean {found}?" if found else ""
