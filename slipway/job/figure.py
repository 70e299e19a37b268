"""Numbers that a program has left in JSON files of its output folder. Nothing goes through a link."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from slipway.errors import UsageError
from slipway.job.output import read_small
from slipway.jsontext import load_json
from slipway.text.nearest import nearest
from slipway.text.wording import one_line

_MOST_FILES = 20
_MOST_NUMBERS = 500
_MOST_NAMED = 12
_LARGEST = 1e300


class Figure(NamedTuple):
    """Where a number stands: a JSON file without its ending, and its keys with dots between them."""

    file: str
    key: str

    def __str__(self) -> str:
        """As a person writes it: ``ate.rmse``."""
        return f"{self.file}.{self.key}" if "/" not in self.file else f"{self.file}:{self.key}"


def read_numbers(folder: Path, more: Sequence[str] = ()) -> dict[Figure, float]:
    """The numbers of the JSON files in an output folder; what cannot be read has none.

    Args:
        folder: the folder.
        more: files in folders below it, without their endings.
    """
    if folder.is_symlink() or not folder.is_dir():
        return {}
    names = sorted(path.name for path in folder.glob("*.json"))[:_MOST_FILES]
    found: dict[Figure, float] = {}
    for name in [*names, *(f"{one}.json" for one in more)]:
        for key, value in _numbers_in(folder, PurePosixPath(name)):
            found[Figure(name.removesuffix(".json"), key)] = value
    return found


def _numbers_in(folder: Path, name: PurePosixPath) -> list[tuple[str, float]]:
    if any((folder / parent).is_symlink() for parent in name.parents):
        return []
    try:
        content = load_json(read_small(folder / name))
    except (OSError, ValueError):
        return []
    found = [(".".join(keys), value) for keys, value in _flat(content, ())]
    return found[:_MOST_NUMBERS]


def _flat(value: Any, keys: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], float]]:
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _flat(inner, (*keys, key))
    elif keys and type(value) in (int, float) and abs(value) < _LARGEST:
        yield keys, float(value)


def parse_files(words: Sequence[str]) -> list[str]:
    """The files in folders below the output folder that ``--metric`` words name, without their endings.

    Raises:
        UsageError: one leads out of the folder.
    """
    files = [_split(word).file for word in words if ":" in word]
    for file in files:
        if not file or file.startswith("/") or ".." in PurePosixPath(file).parts:
            raise UsageError(f"--metric {file[:100]}:…: write a file in the output folder, such as ate:rmse")
    return [file for file in dict.fromkeys(files) if "/" in file]


def choose_figure(word: str, known: Sequence[Figure]) -> Figure:
    """The number that a word names: ``ate.rmse``, ``rmse`` where one file has it, or ``ate.json:rmse``.

    Raises:
        UsageError: none has that name, or several have it.
    """
    if ":" in word:
        fitting = [one for one in known if one == _split(word)]
    else:
        fitting = [one for one in known if str(one) == word] or [one for one in known if one.key == word]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        raise UsageError(f"--metric {word[:100]}: several have it; write one of {_named(fitting)}")
    names = {str(one): one for one in known} | {one.key: one for one in known}
    raise UsageError(
        f"--metric {word[:100]}: no result that is home has this figure{nearest(word, names)}; there are: "
        f"{_named(known)}"
    )


def _split(word: str) -> Figure:
    file, _, key = word.rpartition(":")
    return Figure(file.removesuffix(".json"), key)


def _named(figures: Sequence[Figure]) -> str:
    names = [one_line(str(one), 100) for one in figures[:_MOST_NAMED]]
    more = len(figures) - _MOST_NAMED
    return ", ".join(names) + (f" and {more} more" if more > 0 else "") or "none"
