"""What command lines are made of, and what is said of one that is wrong."""

from __future__ import annotations

import argparse
import difflib
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import NoReturn

from slam.errors import UsageError

# COLMAP's numbers have 32 bits.
LARGEST = 2**31 - 1


class Parser(argparse.ArgumentParser):
    """Tells a wrong command line in one line, as all other errors are told."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises:
            UsageError: always.
        """
        raise UsageError(f"{message}; see python3 -m slam --help")

    def read(self, argv: list[str] | None) -> argparse.Namespace:
        """Read a command line.

        Raises:
            UsageError: it is not one of this grammar; the message names the nearest option there is.
        """
        arguments, unknown = self.parse_known_args(argv)
        if unknown:
            word = next((word for word in unknown if word.startswith("-")), unknown[0])
            options = [option for action in self._actions for option in action.option_strings]
            self.error(f"there is no option {word!r}{nearest(word.partition('=')[0], options)}")
        return arguments

    def written(self, name: str) -> str:
        """How the option is written whose value is ``name`` of what is read."""
        return next(action.option_strings[0] for action in self._actions if action.dest == name)


def nearest(word: str, known: Iterable[str]) -> str:
    """`` (did you mean …?)`` where a known word is near, else nothing."""
    close = difflib.get_close_matches(word, list(known), n=1)
    return f" (did you mean {close[0]}?)" if close else ""


def one_of(names: Sequence[str]) -> Callable[[str], str]:
    """One of some names."""

    def check(text: str) -> str:
        if text not in names:
            listed = ", ".join(names)
            raise argparse.ArgumentTypeError(f"{text!r} is not one of {listed}{nearest(text, names)}")
        return text

    return check


def whole(fewest: int) -> Callable[[str], int]:
    """A whole number from ``fewest`` on."""

    def check(text: str) -> int:
        if not text.isdecimal() or not fewest <= int(text[:20]) <= LARGEST:
            raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from {fewest} to {LARGEST}")
        return int(text)

    return check


positive = whole(1)


def place(text: str) -> Path:
    """A file or folder."""
    if not text:
        raise argparse.ArgumentTypeError("it is empty; write a path")
    return Path(text)


def name(text: str) -> str:
    """The name of a folder."""
    if text in ("", ".", ".."):
        raise argparse.ArgumentTypeError(f"{text!r} is no name of a folder")
    return text


def pair(text: str) -> tuple[str, str]:
    """``KEY=VALUE``."""
    key, mark, value = text.partition("=")
    if not key or not mark:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value


def seconds(text: str) -> float:
    """A length of time, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def positive_number(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def clock(text: str) -> float:
    """A time in a recording: seconds, ``m:s`` or ``h:m:s``."""
    try:
        words = [float(word) for word in text.split(":")]
    except ValueError:
        words = []
    value = sum(60.0**place * word for place, word in enumerate(reversed(words)))
    if not 1 <= len(words) <= 3 or not all(word >= 0 for word in words) or value == float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is no time; write seconds (90.5), m:s or h:m:s")
    return value


def number(text: str) -> float:
    """A number, also one below 0."""
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def given(arguments: argparse.Namespace, options: type) -> dict[str, object]:
    """What of the fields of ``options``, a dataclass, was on a command line that has no defaults for them."""
    names = {field.name for field in fields(options)}
    return {name: value for name, value in vars(arguments).items() if name in names}


def shown(names: Sequence[str]) -> str:
    """Names to choose from, as ``--help`` shows them."""
    return "{" + ",".join(names) + "}"
