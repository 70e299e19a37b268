"""Taking turns on this machine: one command at a time for the same thing."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from slipway.errors import DataError


@contextmanager
def take_turn(state: Path, what: str) -> Iterator[str]:
    """Be the only command of this state folder that works on ``what``; a lock that ends with the process.

    Yields:
        Eight hex digits that are this state folder's own, for names on a cluster that nobody else uses.

    Raises:
        DataError: another command is at it.
    """
    folder = state / "turns"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{hashlib.sha256(what.encode()).hexdigest()[:32]}.lock").open("a") as file:
        if not _lock(file):
            raise DataError(
                f"another command on this machine is staging {what}; wait until it is over, then try again"
            )
        yield _identify(folder / "client")


def _lock(file: IO[str]) -> bool:
    try:
        import fcntl
    except ImportError:  # Windows
        return True
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _identify(place: Path) -> str:
    if not place.exists():
        part = place.with_suffix(f".{secrets.token_hex(4)}")
        part.write_text(secrets.token_hex(4), encoding="ascii")
        part.replace(place)
    return place.read_text(encoding="ascii")
