"""What is in a folder of this machine: its files, its links, and which of them lead out of it."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.dataset.manifest import parents
from slipway.errors import DataError
from slipway.skipped import Skipped, reason, show_name

_MOST_LINKS = 40  # so many does Linux follow on one path
_LONGEST_NAME_BYTES = 255


@dataclass(frozen=True, kw_only=True)
class Survey:
    """What is in a folder, by names relative to it; bytes that are not UTF-8 are surrogates.

    Attributes:
        root: the folder, without links on the way to it; that of a file that is a dataset by itself.
        files: regular files, each as it was found.
        links: links that stay in the folder, and what they say.
        folders: folders that nothing lies in, of what is named here.
        left_out: pipes, sockets and devices.
        skipped: what else cannot be sent: links that lead out, folders that cannot be read, names too long.
    """

    root: Path
    files: Mapping[str, os.stat_result]
    links: Mapping[str, str]
    folders: Collection[str]
    left_out: Sequence[str]
    skipped: Sequence[Skipped]


def take_survey(source: Path) -> Survey:
    """Look through a folder; no link is followed. A single file is a dataset, too.

    Raises:
        DataError: the folder itself cannot be read, or the file is not there any more.
    """
    root = root_of(source)
    if root != source.resolve():
        return _survey_file(source.resolve())
    files: dict[str, os.stat_result] = {}
    links: dict[str, str] = {}
    folders, left_out = [], []
    skipped: list[Skipped] = []
    for name, status in _walk(root, skipped):
        path = root / name
        if stat.S_ISREG(status.st_mode):
            files[name] = status
        elif stat.S_ISDIR(status.st_mode):
            folders.append(name)
        elif not stat.S_ISLNK(status.st_mode):
            left_out.append(name)
        elif leads_out(root, name):
            to = show_name(_read_link(path) or "?")
            skipped.append(Skipped(name=name, why=f"the link to {to} leads out of the folder"))
        else:
            links[name] = _read_link(path) or ""
    closed = {one.name for one in skipped}
    empty = frozenset(folders) - closed - parents([*files, *links, *folders])
    return Survey(
        root=root,
        files=files,
        links=links,
        folders=empty,
        left_out=sorted(left_out),
        skipped=sorted(skipped, key=lambda one: one.name),
    )


def root_of(source: Path) -> Path:
    """The folder of a dataset, without links on the way to it; of a single file, the folder that it is in."""
    place = source.resolve()
    return place if place.is_dir() else place.parent


def _survey_file(path: Path) -> Survey:
    try:
        status = path.stat()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {reason(error)}") from error
    return Survey(root=path.parent, files={path.name: status}, links={}, folders=(), left_out=(), skipped=())


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


def _read_link(path: Path) -> str | None:
    try:
        return str(os.readlink(path))  # noqa: PTH115 - a Path would change what the link says
    except OSError:
        return None


def _walk(root: Path, skipped: list[Skipped]) -> Iterator[tuple[str, os.stat_result]]:
    """All that is in a folder; what cannot be looked at is ``skipped``, with all that is in it."""
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            paths = list((root / folder).iterdir())
        except OSError as error:
            if not folder:
                raise DataError(
                    f"{root} cannot be read: {reason(error)}; make it readable (`chmod u+rx`)"
                ) from error
            skipped.append(Skipped(name=folder, why=reason(error)))
            continue
        for path in paths:
            name = f"{folder}/{path.name}".lstrip("/")
            try:
                status = path.lstat()
            except FileNotFoundError:
                continue  # gone by now
            except OSError as error:
                skipped.append(Skipped(name=name, why=reason(error)))
                continue
            if len(os.fsencode(path.name)) > _LONGEST_NAME_BYTES:
                skipped.append(Skipped(name=name, why="Linux has no names as long as that"))
                continue
            yield name, status
            if stat.S_ISDIR(status.st_mode):
                waiting.append(name)
