"""Writing what was planned: each file as a whole or not at all, and none over another."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterable
from pathlib import Path

from slipway.errors import HostError
from slipway.init.plan import PlannedFile


def write_files(folder: Path, planned: Iterable[PlannedFile]) -> None:
    """Write what is new, and append what is to be appended.

    Raises:
        HostError: a file cannot be written; those before it are.
    """
    for one in planned:
        file = folder / one.name
        try:
            if one.action == "write":
                _write(file, one.content)
            elif one.action == "append":
                _append(file, one.content)
        except OSError as error:
            raise HostError(
                f"{error.filename or file} cannot be written: {error.strerror or error}; once it can be, "
                "`invoke init` again goes on from here"
            ) from error


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    part = _part(file, content)
    try:
        # Unlike a rename it never takes the place of what another command has made meanwhile.
        file.hardlink_to(part)
    except FileExistsError:
        pass
    except OSError:  # a disk without such links
        if not os.path.lexists(file):
            part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def _append(file: Path, content: bytes) -> None:
    # Behind a link, the file itself.
    real = file.resolve()
    part = _part(real, real.read_bytes() + content)
    shutil.copymode(real, part)
    part.replace(real)


def _part(file: Path, content: bytes) -> Path:
    """A file beside another one, with this content."""
    part = file.with_name(f".{file.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as stream:
            stream.write(content)
    except OSError:
        part.unlink(missing_ok=True)
        raise
    return part
