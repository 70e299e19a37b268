"""What a run's program has left in its output folder: figures and files. Nothing goes through a link."""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.text.wording import megabytes, one_line, short

Value = str | int | float | bool

_MOST_BYTES = 4 << 20
_MOST_TABLES = 20
_MOST_VALUES = 100
_MOST_LETTERS = 100
_MOST_LISTED = 200


@dataclass(frozen=True, kw_only=True)
class Output:
    """What there is to show of an output folder.

    Attributes:
        figures: numbers and short words of the program's JSON files, by the file's name without its ending.
        listing: a line for each file, with its size, and for each link, with where it says it leads to.
        notes: what is not shown, and why.
    """

    figures: Mapping[str, Mapping[str, Value]]
    listing: Sequence[str]
    notes: Sequence[str]


def read_output(folder: Path, shown: Path | None = None) -> Output:
    """Look through an output folder that was brought home; it may hold anything, and nothing fails by it.

    Args:
        folder: the folder itself, and no link to it; where it is something else there is nothing to show.
        shown: the folder's name in what is shown, such as a link that leads to it.
    """
    where = shown or folder
    for place, name in ((folder.parent, where.parent / folder.parent.name), (folder, where)):
        if place.is_symlink():
            line = f"{one_line(short(name), 400)} -> {one_line(_read_link(place), 400)}"
            return Output(figures={}, listing=[line], notes=[])
    notes: list[str] = []
    figures = _read_figures(folder, notes)
    return Output(figures=figures, listing=_list(folder, where, notes), notes=notes)


def _read_figures(folder: Path, notes: list[str]) -> dict[str, Mapping[str, Value]]:
    figures: dict[str, Mapping[str, Value]] = {}
    names = sorted(one.name for one in _scan(folder, []) if one.name.endswith(".json"))
    for name in names[:_MOST_TABLES]:
        try:
            content = json.loads(read_small(folder / name))
        except (OSError, ValueError, RecursionError, MemoryError) as error:
            notes.append(f"{one_line(name, 100)} is not shown as figures: {_why(error)}")
            continue
        if isinstance(content, dict):
            short_ones = [pair for pair in content.items() if _is_short(pair[1])]
            figures[name.removesuffix(".json")] = dict(short_ones[:_MOST_VALUES])
    if len(names) > _MOST_TABLES:
        notes.append(f"{len(names) - _MOST_TABLES} more JSON files are not shown as figures")
    return figures


def read_small(path: Path) -> bytes:
    """A regular file of moderate size.

    Raises:
        OSError: it is something else, cannot be read, or is larger.
    """
    # What blocks until somebody writes, or never ends, must not even be opened.
    if not stat.S_ISREG(path.lstat().st_mode):
        raise OSError("it is no regular file")
    with open(path, "rb", opener=_open_no_link) as file:
        content = file.read(_MOST_BYTES + 1)
    if len(content) > _MOST_BYTES:
        raise OSError(f"it is larger than {megabytes(_MOST_BYTES)}")
    return content


def _open_no_link(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def _why(error: BaseException) -> str:
    if isinstance(error, OSError):
        return error.strerror or str(error)
    if isinstance(error, (RecursionError, MemoryError)):
        return "it is nested too deeply, or takes too much memory"
    where = f" ({one_line(str(error), 100)})" if isinstance(error, json.JSONDecodeError) else ""
    return f"it is no JSON that can be read{where}"


def _is_short(value: object) -> bool:
    return isinstance(value, (int, float, str, bool)) and len(str(value)) < _MOST_LETTERS


def _list(folder: Path, shown: Path, notes: list[str]) -> list[str]:
    lines: list[str] = []
    more = more_bytes = 0
    closed: list[Path] = []
    for path, status in _walk(folder, closed):
        line = _describe(path, status, shown / path.relative_to(folder))
        if line is None:
            continue
        if len(lines) < _MOST_LISTED:
            lines.append(line)
        else:
            more += 1
            more_bytes += status.st_size if stat.S_ISREG(status.st_mode) else 0
    if more:
        lines.append(f"… and {more:,} more, {megabytes(more_bytes)}")
    notes += [f"{one_line(short(path), 400)} cannot be looked through" for path in closed[:3]]
    return lines


def _describe(path: Path, status: os.stat_result, shown: Path) -> str | None:
    name = one_line(short(shown), 400)
    if stat.S_ISREG(status.st_mode):
        return f"{name}  {megabytes(status.st_size)}"
    if stat.S_ISLNK(status.st_mode):
        return f"{name} -> {one_line(_read_link(path), 400)}"
    return None


def _read_link(path: Path) -> str:
    try:
        return os.readlink(path)  # noqa: PTH115 - as it is written
    except OSError:
        return "?"


def _walk(folder: Path, closed: list[Path]) -> Iterator[tuple[Path, os.stat_result]]:
    """All that is below a folder, in the order of the names; folders that cannot be read are ``closed``."""
    waiting = [folder]
    while waiting:
        found = sorted(_scan(waiting.pop(), closed), key=lambda one: one.name)
        below = []
        for one in found:
            try:
                status = one.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            except OSError:
                closed.append(Path(one.path))
                continue
            yield Path(one.path), status
            if stat.S_ISDIR(status.st_mode):
                below.append(Path(one.path))
        waiting += reversed(below)


def _scan(folder: Path, closed: list[Path]) -> list[os.DirEntry[str]]:
    try:
        # A link in the folder's place leads anywhere.
        if not stat.S_ISDIR(folder.lstat().st_mode):
            return []
        with os.scandir(folder) as found:
            return list(found)
    except FileNotFoundError:
        return []
    except OSError:
        closed.append(folder)
        return []
