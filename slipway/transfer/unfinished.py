"""What an rsync has left in a folder here that was killed, as by a power cut."""

from __future__ import annotations

import os
import re
import stat
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

# What comes lies under such a name beside its own until it is whole, and only its owner may read it.
_ON_ITS_WAY = re.compile(r"\.(.+)\.[A-Za-z0-9]{6}", re.S)
_MODE = 0o600


def remove_unfinished(target: Path, names: Iterable[str], before_s: float) -> None:
    """Remove what an rsync has left of these files that is not at work any more.

    Args:
        target: the folder.
        names: all files that are to be there, relative to it.
        before_s: what was written to since is being written to, in seconds of the Unix clock.
    """
    folders: dict[str, set[str]] = defaultdict(set)
    for name in names:
        folder, _, last = name.rpartition("/")
        folders[folder].add(last)
    for folder, there in folders.items():
        with suppress(OSError), os.scandir(target / folder) as entries:
            for entry in entries:
                if entry.name not in there and _is_left(entry, there, before_s):
                    Path(entry.path).unlink()


def _is_left(entry: os.DirEntry[str], there: set[str], before_s: float) -> bool:
    of = _ON_ITS_WAY.fullmatch(entry.name)
    # A name that begins with a dot gets no second one.
    if of is None or there.isdisjoint((of[1], f".{of[1]}")):
        return False
    status = entry.stat(follow_symlinks=False)
    is_private = stat.S_ISREG(status.st_mode) and stat.S_IMODE(status.st_mode) == _MODE
    return is_private and status.st_mtime < before_s
