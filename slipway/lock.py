"""One at a time: what two commands of the same checkout must not do at once."""

from __future__ import annotations

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
    try:
        import fcntl
    except ImportError:  # Windows: two at once cost time there, and break nothing
        yield
        return
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("wb") as held:
        try:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            on_wait()
            fcntl.flock(held, fcntl.LOCK_EX)
        yield
