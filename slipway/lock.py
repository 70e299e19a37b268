"""One at a time: what two commands of the same checkout must not do at once."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def only_one(file: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Be the only one who is in here with this file, on this machine; it is let go however this ends.

    Args:
        file: the lock; it is made, and stays.
        on_wait: called once where somebody else is in here, before waiting for them.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as held:
        if not take(held.fileno()):
            on_wait()
            take(held.fileno(), wait=True)
        yield


def take(descriptor: int, *, wait: bool = False) -> bool:
    """Lock an open file or folder until it is closed; false where somebody else has it.

    Windows has no such locks: there everybody gets it, and two at once cost time.
    """
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
