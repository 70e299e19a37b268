"""What figures are made, and how."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence

from slam.grammar import nearest, one_of, shown

FORMATS = ("png", "svg", "pdf")
WIDTHS = ("column", "page")
# The directions of a world that have names.
AXES = ("x", "-x", "y", "-y", "z", "-z")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of figures."""
    figures = parser.add_argument_group("figures")
    figures.add_argument(
        "--figure-format",
        type=some_of(FORMATS),
        metavar="png,svg,pdf",
        default=("png",),
        help="in which formats figures are written; PNG is always one (default: png)",
    )
    figures.add_argument(
        "--figure-width",
        type=one_of(WIDTHS),
        metavar=shown(WIDTHS),
        default="page",
        help="as wide as a column (3.5 in) or a page (7.16 in) of a journal (default: page)",
    )
    figures.add_argument(
        "--up",
        type=one_of(AXES),
        metavar=shown(AXES),
        help="which axis of the drawn world points up: of the ground truth's where there is one, else of the "
        "estimate's; written --up=-y (default: it is found)",
    )


def some_of(names: Sequence[str]) -> Callable[[str], tuple[str, ...]]:
    """Some of some names, with commas between them."""

    def check(text: str) -> tuple[str, ...]:
        words = tuple(dict.fromkeys(word.strip() for word in text.lower().split(",")))
        for word in words:
            if word not in names:
                listed = ", ".join(names)
                raise argparse.ArgumentTypeError(f"{word!r} is not one of {listed}{nearest(word, names)}")
        return words

    return check
