"""Parameters: what differs from element to element, and the values that each of them takes. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product

from slipway.errors import UsageError

# A sweep has no more elements than this: each of them is a job.
MOST_ELEMENTS = 100_000
NAME = re.compile(r"[A-Za-z_]\w*")
_RANGE = re.compile(r"(-?\d{1,9})\.\.(-?\d{1,9})(?::(\d{1,9}))?")

# The values of one element, by the parameters' names.
Values = Mapping[str, str]


def parse_each(words: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """The parameters of ``--each`` words: ``sequence=a,b,c``, ``seed=0..2`` or ``step=0..10:5``.

    Raises:
        UsageError: a word is none of these, or a name comes twice.
    """
    parameters: dict[str, tuple[str, ...]] = {}
    for word in words:
        name, equals, text = word.partition("=")
        if not equals or not NAME.fullmatch(name):
            raise UsageError(f"--each {word[:100]}: write NAME=VALUE,VALUE or NAME=FIRST..LAST")
        if name in parameters:
            raise UsageError(f"--each {name:.99}=… is there twice; write all its values behind one")
        parameters[name] = parse_values(f"--each {name}", text)
    return parameters


def parse_values(place: str, text: str) -> tuple[str, ...]:
    """Values as they are written in one word: ``a,b,c``, ``0..2``, ``0..10:5``, or several of these.

    Both ends of a range belong to it. ``place`` is named where they are wrong.

    Raises:
        UsageError: a value is empty, a range runs backwards, or there are too many.
    """
    values: list[str] = []
    for part in text.split(","):
        if not part:
            raise UsageError(
                f"{place}={text[:100]}: a value is empty; an empty or odd value is written in a sweep's file"
            )
        found = _RANGE.fullmatch(part)
        if found is None:
            values.append(part)
            continue
        numbers = _numbers(place, part, int(found[1]), int(found[2]), int(found[3] or 1))
        if len(values) + len(numbers) > MOST_ELEMENTS:
            raise UsageError(f"{place:.99}={part:.99}: these are more than the {MOST_ELEMENTS} of one sweep")
        values += map(str, numbers)
    return tuple(values)


def _numbers(place: str, part: str, first: int, last: int, step: int) -> range:
    if step == 0:
        raise UsageError(f"{place:.99}={part:.99}: its step is 0")
    if last < first:
        raise UsageError(f"{place:.99}={part:.99}: it ends before it begins")
    return range(first, last + 1, step)


def grid(axes: Sequence[Sequence[Values]]) -> list[dict[str, str]]:
    """Every combination of one step of each axis; the last axis changes first.

    Args:
        axes: each a list of steps; a step gives some parameters their values.

    Raises:
        UsageError: two axes give the same parameter, or there are more than :data:`MOST_ELEMENTS`.
    """
    _check_names(axes)
    count = 1
    for axis in axes:
        count *= len(axis)
    if count > MOST_ELEMENTS:
        raise UsageError(f"a sweep of {count} elements is more than the {MOST_ELEMENTS} of one")
    return [{name: value for step in steps for name, value in step.items()} for steps in product(*axes)]


def _check_names(axes: Sequence[Sequence[Values]]) -> None:
    seen: set[str] = set()
    for axis in axes:
        names = {name for step in axis for name in step}
        if twice := sorted(seen & names):
            raise UsageError(f"the parameter {twice[0]} gets its values in two places; leave one out")
        seen |= names


def matches(values: Values, some: Values) -> bool:
    """True where an element has all of some values."""
    return all(values.get(name) == value for name, value in some.items())
