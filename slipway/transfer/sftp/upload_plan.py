"""What a folder here holds that can be sent: folders, files and links, each by its relative name."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from slipway.errors import DataError
from slipway.sftp.listing import PARTIAL
from slipway.transfer.sftp.local_file import Original, SourceOriginal, explain, original, told
from slipway.transfer.source import Source


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be there in the end: folders with modes and times in seconds, files, and links.

    ``skipped`` are names that could not be looked at, and why.
    """

    folders: dict[str, tuple[int, int]] = field(default_factory=dict)
    files: dict[str, Original] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def total_bytes(self) -> int:
        """The size of all files together."""
        return sum(one.size_bytes for one in self.files.values())

    def holds(self, folder: str) -> bool:
        """True where something of it may be in this folder."""
        return folder in self.folders


def plan_tree(source: Path, names: Sequence[str] | None, *, partial: bool = False) -> Plan:
    """Look at a folder, or at some names in it and the folders that they are in.

    With ``partial``, a name that cannot be looked at is skipped.

    Raises:
        DataError: something cannot be looked at.
    """
    plan = Plan()
    with told(source, reading=True):
        for name in _with_parents(names) if names is not None else _walk(source):
            try:
                _add(plan, source, name)
            except DataError as error:
                if not partial:
                    raise
                plan.skipped[name] = explain(error)
    return plan


def plan_file(source: Path) -> Plan:
    """One file; where it is a link, the file that this leads to."""
    with told(source, reading=True):
        path = source.resolve()
        return Plan(files={source.name: original(source.name, path, path.stat())})


def plan_source(source: Source) -> Plan:
    """One file that has its bytes in several places."""
    with told(source.path, reading=True):
        found = source.status()
        one = SourceOriginal(
            name=source.name,
            path=source.path,
            mode=found.st_mode,
            size_bytes=source.size_bytes,
            mtime_ns=found.st_mtime_ns,
            source=source,
        )
        return Plan(files={source.name: one})


def _add(plan: Plan, source: Path, name: str) -> None:
    path = source / name
    with told(path, reading=True):
        found = path.lstat()
        if stat.S_ISDIR(found.st_mode):
            plan.folders[name] = (found.st_mode, found.st_mtime_ns // 10**9)
        elif stat.S_ISLNK(found.st_mode):
            plan.links[name] = os.readlink(path)  # noqa: PTH115 - as it is written
        elif stat.S_ISREG(found.st_mode):
            plan.files[name] = original(name, path, found)


def _walk(source: Path) -> Iterable[str]:
    def fail(error: OSError) -> None:
        raise error

    for top, folders, files in os.walk(source, onerror=fail):
        folders[:] = [name for name in folders if name != PARTIAL]
        for name in [*folders, *files]:
            yield (Path(top) / name).relative_to(source).as_posix()


def _with_parents(names: Iterable[str]) -> Iterable[str]:
    wanted: dict[str, None] = {}
    for name in names:
        path = PurePosixPath(name)
        for parent in [*list(reversed(path.parents))[1:], path]:
            if PARTIAL not in parent.parts and parent.parts:
                wanted[str(parent)] = None
    return wanted
