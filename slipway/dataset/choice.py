"""Which sequences of a known dataset are meant, by which words. Pure."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from slipway.dataset.catalog import Dataset
from slipway.errors import UsageError
from slipway.text.nearest import nearest

ALL = "all"


def choose_sequences(dataset: Dataset, words: Sequence[str]) -> tuple[str, ...]:
    """The names of the sequences that are meant, in the file's order; without words the usual ones.

    A word may be a part of a name, as for the program: ``fr1/xyz`` is ``freiburg1_xyz``.

    Raises:
        UsageError: a word fits none, or several.
    """
    names = tuple(dataset.sequences)
    if not words:
        return dataset.usual or names
    if ALL in words:
        return names
    found = {_find(dataset, word, names) for word in words}
    return tuple(name for name in names if name in found)


def _find(dataset: Dataset, word: str, names: Sequence[str]) -> str:
    tests: tuple[Callable[[str], bool], ...] = (
        lambda name: word in (name, dataset.sequences[name].folder),
        lambda name: _words(name)[-len(_words(word)) :] == _words(word),
        lambda name: _contains(_words(name), _words(word)),
    )
    fitting = next((fit for test in tests if (fit := [name for name in names if test(name)])), [])
    if len(fitting) > 1:
        raise UsageError(f"--sequence {word} may be {', '.join(fitting[:10])}; write more of its name")
    if not fitting:
        near = nearest(word, names)
        listed = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
        raise UsageError(f"{dataset.name} has no sequence {word!r}{near}; it has {listed or 'none'}")
    return fitting[0]


def _words(name: str) -> list[str]:
    """``fr1/xyz`` and ``rgbd_dataset_freiburg1_xyz`` as words, as docker/payload/slam/dataset/catalog.py."""
    words = re.split(r"[/_\-\s]+", name.lower().strip("/"))
    return [re.sub(r"^fr(\d)$", r"freiburg\1", word) for word in words if word]


def _contains(words: list[str], part: list[str]) -> bool:
    places = range(len(words) - len(part) + 1)
    return bool(part) and any(words[place : place + len(part)] == part for place in places)
