"""What differs between two runs, as values. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from slipway.errors import ParseError
from slipway.job.flat import flatten
from slipway.job.run import Run
from slipway.job.secret import HIDDEN
from slipway.quantity import mebibytes, minutes
from slipway.report.patch import by_file
from slipway.report.run_details import environment_names, image_values, wanted_resources
from slipway.text.shell_line import quote_word, shell_line

# What of a profile is told of by itself.
_TOLD = frozenset({"name", "image", "environment", "resources", "program", "site"})
_NUMBER = re.compile(r"-[\d.]")

Figures = Mapping[str, Mapping[str, Any]]
Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Side:
    """One of two runs.

    Attributes:
        run: its record.
        tree: what is in its code, by :func:`slipway.job.kept.tree_words`; ``None`` where that is not known.
        diff: what was not committed; ``None`` for nothing, or where it is not known.
        figures: the numbers and short words of its output; ``None`` where that is not home.
    """

    run: Run
    tree: Mapping[str, str] | None = None
    diff: str | None = None
    figures: Figures | None = None


def run_diff(a: Side, b: Side, *, commits: str | None = None) -> dict[str, Any]:
    """What differs, by the keys of ``runs.diff --json``; what is equal is not in it.

    Each difference has its ``part``, a ``key`` in that, and ``a`` and ``b``, which are ``None`` where a run
    does not have it. Numbers have their ``difference``, too: b less a.

    Args:
        a: the one run.
        b: the other.
        commits: what `git diff --stat` says of their two commits; ``None`` where that is not known.
    """
    one, other = a.run, b.run
    parts = (
        _code(a, b),
        _image(one, other),
        _words(one, other),
        _environment(one, other),
        _resources(one, other),
        _profile(one, other),
        _site(one, other),
        _figures(a, b),
        _ending(one, other),
    )
    rows = [row for part in parts for row in part]
    return {
        "a": _named(a.run),
        "b": _named(b.run),
        "equal": not rows,
        "differences": rows,
        "commits": commits,
        "not_compared": [*_not_compared(a, b)],
    }


def by_option(args: tuple[str, ...]) -> dict[str, tuple[str | None, ...]]:
    """The values of each option, and each other word by its place: ``word 1``.

    An option takes the word behind it, unless that is one, too: what a program makes of them is not known.
    What stands alone has ``None``. Behind ``--`` there are no options.
    """
    found: dict[str, tuple[str | None, ...]] = {}
    waiting, count, ended = "", 0, False
    for word in args:
        is_option = not ended and word.startswith("-") and word != "-" and not _NUMBER.match(word)
        if waiting and not is_option:
            found[waiting] = (*found[waiting][:-1], word)
            waiting = ""
        elif word == "--" and not ended:
            ended, waiting = True, ""
        elif is_option:
            name, equals, value = word.partition("=")
            found[name] = (*found.get(name, ()), value if equals else None)
            waiting = "" if equals else name
        else:
            count += 1
            found[f"word {count}"] = (word,)
    return found


def _named(run: Run) -> dict[str, Any]:
    told = {"run_id": run.run_id, "name": run.name, "site": run.site, "profile": run.profile}
    return {**told, "state": run.status.state.value, "submitted": run.submitted.isoformat()}


def _values(part: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[Row]:
    for key in dict.fromkeys((*a, *b)):
        one, other = a.get(key), b.get(key)
        # What is no number (nan) is not equal to itself.
        if one != other and (one == one or other == other):
            yield {"part": part, "key": key, "a": one, "b": other}


def _code(a: Side, b: Side) -> Iterator[Row]:
    one, other = a.run, b.run
    yield from _values("code", {"commit": one.commit}, {"commit": other.commit})
    if one.dirty != other.dirty or (one.code != other.code and a.diff != b.diff):
        yield {"part": "code", "key": "not committed", "a": _changed(a), "b": _changed(b)}
    yield from _values("code", {"hash": one.code}, {"hash": other.code})
    if one.code == other.code:
        return
    if a.tree is not None and b.tree is not None:
        yield from _values("files", a.tree, b.tree)
    elif one.commit == other.commit:
        yield from _values("files", by_file(a.diff or ""), by_file(b.diff or ""))


def _changed(side: Side) -> str:
    if not side.run.dirty:
        return "nothing"
    count = len(by_file(side.diff or ""))
    return f"{count} files" if count > 1 else "1 file" if count else "something"


def _image(a: Run, b: Run) -> Iterator[Row]:
    one, other = ({**image_values(run), "file": PurePosixPath(run.sif).name} for run in (a, b))
    return _values("image", one, other)


def _words(a: Run, b: Run) -> Iterator[Row]:
    yield from _values("program", {"program": shell_line(a.program)}, {"program": shell_line(b.program)})
    one, other = by_option(a.args), by_option(b.args)
    yield from _values("arguments", _joined(one, other), _joined(other, one))
    if a.args != b.args and one == other:
        yield {
            "part": "arguments",
            "key": "order or spelling",
            "a": shell_line(a.args),
            "b": shell_line(b.args),
        }


def _joined(
    mine: Mapping[str, tuple[str | None, ...]], others: Mapping[str, tuple[str | None, ...]]
) -> dict[str, str]:
    """The values of those options in which two command lines differ, as a shell would take them."""
    return {
        name: " ".join("" if value is None else quote_word(value) for value in values)
        for name, values in mine.items()
        if values != others.get(name)
    }


def _environment(a: Run, b: Run) -> Iterator[Row]:
    one, other = environment_names(a), environment_names(b)
    for name in sorted({*one, *other}):
        if name not in one or name not in other:
            words = ["set" if name in names else None for names in (one, other)]
            yield {"part": "environment", "key": name, "a": words[0], "b": words[1]}
        elif HIDDEN not in (one[name], other[name]) and one[name] != other[name]:
            yield {"part": "environment", "key": name, "a": "a value", "b": "another value"}


def _resources(a: Run, b: Run) -> Iterator[Row]:
    for row in _values("resources", wanted_resources(a), wanted_resources(b)):
        if not _is_same_amount(row["key"], row["a"], row["b"]):
            yield row


def _is_same_amount(key: str, a: str | None, b: str | None) -> bool:
    """True where two texts are the same time or the same memory, otherwise written."""
    size = {"time": minutes, "mem": mebibytes}.get(key)
    if size is None or a is None or b is None:
        return False
    try:
        return size(a) == size(b)
    except ParseError:
        return False


def _profile(a: Run, b: Run) -> Iterator[Row]:
    yield from _values("profile", {"name": a.profile}, {"name": b.profile})
    kept = (
        {key: run.profile_values[key] for key in run.profile_values if key not in _TOLD} for run in (a, b)
    )
    yield from _values("profile", *map(flatten, kept))


def _site(a: Run, b: Run) -> Iterator[Row]:
    values = [flatten({**run.site_values, "name": run.site}) for run in (a, b)]
    return _values("site", *values)


def _figures(a: Side, b: Side) -> Iterator[Row]:
    if a.figures is None or b.figures is None:
        return
    for row in _values("figures", flat_figures(a.figures), flat_figures(b.figures)):
        numbers = [row[side] for side in ("a", "b") if _is_number(row[side])]
        yield {**row, "difference": numbers[1] - numbers[0]} if len(numbers) == 2 else row


def flat_figures(figures: Figures) -> dict[str, Any]:
    """The figures of all files, each by ``FILE.KEY``."""
    return {f"{file}.{key}": value for file, content in figures.items() for key, value in content.items()}


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _ending(a: Run, b: Run) -> Iterator[Row]:
    one, other = (
        {
            "state": run.status.state.value,
            "reason": run.status.reason,
            "exit code": run.status.exit_code,
            "signal": run.status.signal,
        }
        for run in (a, b)
    )
    return _values("ending", one, other)


def _not_compared(a: Side, b: Side) -> Iterator[str]:
    """What could not be compared, and why."""
    for side in (a, b):
        run = side.run
        if run.task_indices:
            yield f"figures: {run.run_id} is an array, whose tasks have figures of their own"
        elif side.figures is None:
            yield f"figures: the results of {run.run_id} are not home; `invoke pull {run.run_id}` brings them"
        if not run.status.state.is_over:
            yield f"the ending: {run.run_id} was {run.status.state.value} when it was last looked at"
    if a.run.code != b.run.code and a.run.commit != b.run.commit and (a.tree is None or b.tree is None):
        yield "the code file by file: what an older run's code had is not kept here"
    one, other = environment_names(a.run), environment_names(b.run)
    if hidden := sorted(name for name in {*one} & {*other} if HIDDEN in (one[name], other[name])):
        yield f"values of {', '.join(hidden)}: an older record has only the names"
    if a.run.site_values.get("before") == b.run.site_values.get("before") == HIDDEN:
        yield "`before` of the site's file: it may hold secrets, and is in no record"
