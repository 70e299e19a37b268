"""Files that a transfer had to leave where they are, and how they are named to a person."""

from __future__ import annotations

import errno
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

_MOST_NAMED = 10
_LONGEST_NAME = 200
_PLAIN = {errno.ENOENT: "it went away meanwhile", errno.ELOOP: "it became a link meanwhile"}


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A file, link or folder that was not transferred, by its name relative to what was, and why."""

    name: str
    why: str


def list_skipped(skipped: Sequence[Skipped]) -> str:
    """Lines that name the first of them, each with its reason, and count the others."""
    lines = [f"  {show_name(one.name)}: {one.why}" if one.name else f"  {one.why}" for one in skipped]
    more = len(lines) - _MOST_NAMED
    return "\n".join([*lines[:_MOST_NAMED], *([f"  … and {more:,} more"] if more > 0 else [])])


def some_of(names: Iterable[str], most: int = 5) -> str:
    """The first of some names, fit to be shown."""
    listed = list(names)
    return ", ".join([*map(show_name, listed[:most]), *(["…"] if len(listed) > most else [])])


def show_name(name: str) -> str:
    """A name as it is shown: on one line, with nothing in it that a terminal obeys."""
    text = name if name.isprintable() else repr(name)
    if len(text) <= _LONGEST_NAME:
        return text
    return f"{text[: _LONGEST_NAME // 2]}…{text[-_LONGEST_NAME // 2 :]}"


def reason(error: OSError) -> str:
    """Why a file could not be used, in the system's words, or plainer ones where these mislead."""
    return _PLAIN.get(error.errno or 0, error.strerror or str(error))
