"""Which sequences of a dataset are staged, and which of them a person means."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from slam.dataset.files import BAGS, VIDEOS, find_folder, is_bag, is_video, list_folder
from slam.dataset.layout import find_layout
from slam.errors import InputError

# TartanAir's sequences lie four deep: abandonedfactory/abandonedfactory/Easy/P000. People add to that.
DEEPEST = 6
MOST_LISTED = 20


@dataclass(frozen=True, kw_only=True)
class Staged:
    """A sequence: its folder, or a video or bag, and its name, which is its path within the dataset."""

    name: str
    folder: Path


def find_sequences(root: Path, dataset: str, names: tuple[str, ...] = ()) -> tuple[Staged, ...]:
    """The sequences of a dataset: all that are staged, or those with these names, in the order given.

    A dataset's folder may itself be a sequence, also by its name. A name may be short: ``xyz`` or
    ``fr1/xyz`` is ``rgbd_dataset_freiburg1_xyz`` where only one name fits.

    Raises:
        InputError: the dataset or a sequence is not there, or a name fits several; the message says what is
            there.
    """
    folder = find_folder(root, dataset)
    if not names and find_layout(folder) is not None:
        return (Staged(name=dataset, folder=folder),)
    staged = tuple(_walk(folder, folder, DEEPEST))
    if not names:
        # Where there is none, the reader of the folder itself says what is missing.
        return staged or (Staged(name=dataset, folder=folder),)
    found = (_find(name, folder, dataset, staged) for name in names)
    return tuple(dict.fromkeys(found))


def _walk(folder: Path, top: Path, depth: int) -> Iterator[Staged]:
    for child in list_folder(folder):
        if child.name.startswith(".") or not (child.is_dir() or is_video(child) or is_bag(child)):
            continue
        if find_layout(child) is not None:
            yield Staged(name=str(child.relative_to(top)), folder=child)
        elif depth > 1 and child.is_dir():
            yield from _walk(child, top, depth - 1)


def _find(name: str, folder: Path, dataset: str, staged: tuple[Staged, ...]) -> Staged:
    fitting = match(name, tuple(one.name for one in staged))
    if len(fitting) > 1:
        raise InputError(
            f"sequence {name!r} may be {_listed(fitting)} of {folder}; write more of its name with --sequence"
        )
    if fitting:
        return next(one for one in staged if one.name == fitting[0])
    if match(name, (dataset,)) and find_layout(folder) is not None:
        return Staged(name=dataset, folder=folder)
    if staged and not (folder / name).is_dir():
        names = tuple(one.name for one in staged)
        raise InputError(
            f"sequence {name!r} is not in {folder}{_near(name, names)}, which has {_listed(names)}"
        )
    # What is there without being a sequence is told by its reader, and what is not, with what is near it.
    return Staged(name=name, folder=find_folder(folder.parent, dataset, name))


def match(name: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names that a short name may stand for: the same, else with its words at the end, else anywhere."""
    words = _words(name)
    tests: tuple[Callable[[str], bool], ...] = (
        lambda other: other == name,
        lambda other: Path(other).name == name,
        lambda other: Path(other).stem == name,
        lambda other: bool(words) and _words(other)[-len(words) :] == words,
        lambda other: _contains(_words(other), words),
    )
    found = (tuple(other for other in names if test(other)) for test in tests)
    return next((one for one in found if one), ())


def _near(name: str, names: tuple[str, ...]) -> str:
    """`` (did you mean …?)`` where a name, or the last word of one, is near, else nothing."""
    ends = {_words(other)[-1]: other for other in names if _words(other)} | {other: other for other in names}
    close = difflib.get_close_matches(name.lower(), ends, n=1)
    return f" (did you mean {ends[close[0]]!r}?)" if close else ""


def _words(name: str) -> list[str]:
    """``fr1/xyz`` and ``rgbd_dataset_freiburg1_xyz`` as words, with the long form of ``fr1``.

    The ending of a video or bag is no word.
    """
    ending = Path(name).suffix
    bare = name.removesuffix(ending) if ending.lower() in (*VIDEOS, *BAGS) else name
    words = re.split(r"[/_\-\s]+", bare.lower().strip("/"))
    return [re.sub(r"^fr(\d)$", r"freiburg\1", word) for word in words if word]


def _contains(words: list[str], part: list[str]) -> bool:
    places = range(len(words) - len(part) + 1)
    return bool(part) and any(words[place : place + len(part)] == part for place in places)


def _listed(names: tuple[str, ...]) -> str:
    return ", ".join(names[:MOST_LISTED]) + (", …" if len(names) > MOST_LISTED else "")
