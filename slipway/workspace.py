"""Folders to work in that do not outlive their work, not even that of a process that was killed."""

from __future__ import annotations

import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.errors import SpaceError
from slipway.lock import is_locked, try_lock


@contextmanager
def workspace(parent: Path) -> Iterator[Path]:
    """A new folder, removed at the end.

    It is locked as long as this process lives, which tells it from what a killed one left behind.
    """
    parent.mkdir(parents=True, exist_ok=True)
    folder = parent / f"sif-{secrets.token_hex(8)}"
    # A folder cannot be locked on every system; a file can. It has to be there before the folder is.
    lock = _lock_path(folder)
    try:
        with try_lock(lock):
            folder.mkdir(mode=0o700)
            try:
                yield folder
            finally:
                shutil.rmtree(folder, ignore_errors=True)
    finally:
        lock.unlink(missing_ok=True)


def abandoned(parent: Path) -> list[Path]:
    """The folders that nobody works in any more."""
    folders = [path for path in sorted(parent.glob("sif-*")) if path.is_dir()]
    return [folder for folder in folders if not is_locked(_lock_path(folder))]


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


def _lock_path(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
