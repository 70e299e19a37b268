"""Locks between the commands of this machine; a lock ends with its process, however that ends."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from filelock import BaseFileLock


@contextmanager
def only_one(file: Path, on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold a lock; wait for it where another process has it.

    Args:
        file: the lock; it is made.
        on_wait: called once before waiting.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    lock = _lock(file)
    if not _take(lock):
        on_wait()
        lock.acquire()  # It looks again and again, so that Ctrl-C ends it.
    try:
        yield
    finally:
        lock.release()


@contextmanager
def try_lock(file: Path) -> Iterator[bool]:
    """Hold a lock if it is free; gives whether it was. The file is made, and its folder has to exist."""
    lock = _lock(file)
    is_mine = _take(lock)
    try:
        yield is_mine
    finally:
        if is_mine:
            lock.release()


def is_locked(file: Path) -> bool:
    """True while a process holds the lock. A file that a killed process left behind is removed."""
    if not file.exists():
        return False
    with try_lock(file) as is_free:
        pass
    if is_free:
        file.unlink(missing_ok=True)
    return not is_free


def _lock(file: Path) -> BaseFileLock:
    from filelock import FileLock

    return FileLock(file)


def _take(lock: BaseFileLock) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(blocking=False)
    except Timeout:
        return False
    return True
