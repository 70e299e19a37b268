"""The command line's grammar, and what is said of a line that does not follow it."""

from __future__ import annotations

import argparse
import difflib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import NoReturn

from slam.errors import UsageError

TASKS = ("infer", "evaluate")
ENGINES = ("colmap",)
MATCHERS = ("auto", "sequential", "exhaustive")
ALIGNMENTS = ("sim3", "se3", "none")
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


def seconds(text: str) -> float:
    """A length of time, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def shown(names: Sequence[str]) -> str:
    """Names to choose from, as ``--help`` shows them."""
    return "{" + ",".join(names) + "}"


def build_parser(environment: Mapping[str, str]) -> Parser:
    """The command line's grammar."""
    parser = Parser(prog="slam", description=sys.modules["slam"].__doc__)
    parser.add_argument("--task", type=one_of(TASKS), metavar=shown(TASKS), help="what to do")
    parser.add_argument(
        "--engine",
        type=one_of(ENGINES),
        metavar=shown(ENGINES),
        default="colmap",
        help="what infers (default: colmap)",
    )
    parser.add_argument("--dataset", type=name, metavar="NAME", help="a folder in the data root")
    parser.add_argument("--sequence", type=name, metavar="NAME", help="a folder in the dataset")
    parser.add_argument("--data-root", type=place, default=Path("/data"), metavar="FOLDER")
    parser.add_argument(
        "--out",
        type=place,
        default=Path(environment["SLIPWAY_OUT"]) if environment.get("SLIPWAY_OUT") else None,
        metavar="FOLDER",
        help="where results go (default: $SLIPWAY_OUT)",
    )
    images = parser.add_argument_group("infer")
    images.add_argument("--stride", type=positive, default=1, metavar="N", help="take every N-th image")
    images.add_argument("--max-frames", type=positive, metavar="N", help="take at most N images")
    images.add_argument("--matcher", type=one_of(MATCHERS), metavar=shown(MATCHERS), default="auto")
    images.add_argument(
        "--max-image-size",
        type=positive,
        metavar="PIXELS",
        help="look for features in images whose longer side is at most this (default: as they are)",
    )
    images.add_argument("--threads", type=positive, metavar="N", help="fewer than the job was given")
    images.add_argument("--seed", type=whole(0), default=0, metavar="N")
    compared = parser.add_argument_group("evaluate, and infer where there is ground truth")
    compared.add_argument(
        "--estimate", type=place, metavar="FILE", help="trajectory in TUM format (evaluate)"
    )
    compared.add_argument(
        "--groundtruth", type=place, metavar="FILE", help="trajectory in TUM format (default: the dataset's)"
    )
    compared.add_argument("--align", type=one_of(ALIGNMENTS), metavar=shown(ALIGNMENTS), default="sim3")
    compared.add_argument(
        "--max-difference",
        type=seconds,
        default=0.01,
        metavar="S",
        help="how far apart two timestamps of one moment may be (default: 0.01 s)",
    )
    return parser
