"""What is in a folder of this machine: its files, its links, and which of them lead out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from slipway.dataset.manifest import parents
from slipway.errors import DataError

_MOST_LINKS = 40  # so many does Linux follow on one path
_SHOWN = 5


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is in a folder, by names relative to it; bytes that are not UTF-8 are surrogates.

    Attributes:
        root: the folder, without links on the way to it.
        files: regular files, each as it was found.
        links: links that stay in the folder, and what they say.
        folders: folders that nothing lies in, of what is named here.
        left_out: links that lead out, pipes, sockets and devices.
    """

    root: Path
    files: Mapping[str, os.stat_result]
    links: Mapping[str, str]
    folders: Collection[str]
    left_out: Sequence[str]


def take_survey(source: Path) -> Survey:
    """Look through a folder; no link is followed.

    Raises:
        DataError: a folder in it cannot be read.
    """
    root = source.resolve()
    files: dict[str, os.stat_result] = {}
    links: dict[str, str] = {}
    folders, left_out = [], []
    for name, status in _walk(root):
        path = root / name
        if stat.S_ISREG(status.st_mode):
            files[name] = status
        elif stat.S_ISDIR(status.st_mode):
            folders.append(name)
        elif stat.S_ISLNK(status.st_mode) and not leads_out(root, name):
            links[name] = os.readlink(path)  # noqa: PTH115 - a Path would change what the link says
        else:
            left_out.append(name)
    filled = parents([*files, *links, *folders])
    empty = frozenset(folders) - filled
    return Survey(root=root, files=files, links=links, folders=empty, left_out=sorted(left_out))


def leads_out(root: Path, name: str) -> bool:
    """True where a link in ``root``, or one that it leads to, leaves the folder or says where it is itself.

    Args:
        root: the folder.
        name: the link, relative to it, through no other link.
    """
    followed = 0
    place: list[str] = []
    words = name.split("/")
    while words:
        word = words.pop(0)
        if word == "..":
            if not place:
                return True
            place.pop()
            continue
        if word in ("", "."):
            continue
        place.append(word)
        target = _read_link(root.joinpath(*place))
        if target is None:
            continue
        followed += 1
        if target.startswith("/"):
            return True
        if followed > _MOST_LINKS:
            return False  # a circle: it leads nowhere
        place.pop()
        words = [*target.split("/"), *words]
    return False


def some_of(names: Iterable[str]) -> str:
    """The first of some names, fit to be shown."""
    listed = list(names)
    shown = [name if name.isprintable() else repr(name) for name in listed[:_SHOWN]]
    return ", ".join([*shown, *(["…"] if len(listed) > _SHOWN else [])])


def _read_link(path: Path) -> str | None:
    try:
        return str(os.readlink(path))  # noqa: PTH115 - a Path would change what the link says
    except OSError:
        return None


def _walk(root: Path) -> list[tuple[str, os.stat_result]]:
    found = []
    closed = []
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            for path in list((root / folder).iterdir()):
                name = f"{folder}/{path.name}".lstrip("/")
                with suppress(FileNotFoundError):  # gone by now
                    status = path.lstat()
                    found.append((name, status))
                    if stat.S_ISDIR(status.st_mode):
                        waiting.append(name)
        except OSError:
            closed.append(folder or ".")
    if closed:
        raise DataError(
            f"{root}: {len(closed)} folders cannot be read: {some_of(sorted(closed))}; make them readable "
            "(`chmod u+rx`), or move them out of the folder"
        )
    return found
