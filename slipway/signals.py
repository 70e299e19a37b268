"""Signals that ask a command to end, answered in an orderly way."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def asked_to_end(answer: Callable[[int, object], None]) -> Iterator[None]:
    """Have SIGTERM and SIGHUP call this meanwhile; what ``nohup`` has ignored stays so.

    Python lets only the main thread do that; in others they are as they were.
    """
    found = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    is_main = threading.current_thread() is threading.main_thread()
    numbers = [one for one in found if is_main and signal.getsignal(one) is not signal.SIG_IGN]
    before = {number: signal.signal(number, answer) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def held_back(*numbers: int) -> Iterator[None]:
    """Have these signals wait meanwhile, for this thread and for the programs that it starts.

    Such a program gets them when it lets them through by ``signal.pthread_sigmask``.
    """
    before = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
