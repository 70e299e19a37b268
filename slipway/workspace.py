"""Folders to work in that do not outlive their work, not even that of a process that was killed."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.errors import SpaceError
from slipway.lock import take


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """A new folder, removed at the end.

    It is locked as long as this process lives, which tells it from what a killed one left behind.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(dir=parent, prefix="sif-"))
    handle = os.open(folder, os.O_RDONLY)
    try:
        take(handle, wait=True)
        yield folder
    finally:
        os.close(handle)
        shutil.rmtree(folder, ignore_errors=True)


def abandoned(parent: Path) -> list[Path]:
    """The folders that nobody works in any more."""
    return [folder for folder in sorted(parent.glob("sif-*")) if not _is_locked(folder)]


def check_space(folder: Path, needed_bytes: int, what: str) -> None:
    """Look whether there is room before the work begins.

    Raises:
        SpaceError: there is not.
    """
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    if free < needed_bytes:
        raise SpaceError(
            f"{folder} has {free / 1e9:.1f} GB free, and {what} can take {needed_bytes / 1e9:.1f} GB; "
            "make room, or set SLIPWAY_STATE to a folder on another disk"
        )


def _is_locked(folder: Path) -> bool:
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return True  # it is just being removed, or is somebody else's
    try:
        return not take(handle)
    finally:
        os.close(handle)
