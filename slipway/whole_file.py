"""A file that is there as a whole or as it was before, also after a power cut."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path

from slipway.errors import HostError


def write_whole(path: Path, text: str, *, synced: bool = False) -> None:
    """Write a file under a hidden name beside it, and give it its own in one step; a link is not followed.

    What it holds is on the disk before it has its name, which takes milliseconds: a power cut leaves this
    file or the one from before, and never an empty one.

    Args:
        path: the file; its folder is made.
        text: what it is to hold, in UTF-8.
        synced: its name is on the disk afterwards, too, so that a power cut leaves this one.

    Raises:
        HostError: that is not possible; nothing has changed.
    """
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with part.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
        if synced:
            _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise HostError(f"{path} cannot be written: {error.strerror}") from error


def _sync_folder(folder: Path) -> None:
    # Where a folder cannot be opened, as on Windows, a name is as sure as it can be.
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
