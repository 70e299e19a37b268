"""Lines for the log while the program runs."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


def say(line: str) -> None:
    """Print a line at once, so that a log that is being followed shows it."""
    print(line, flush=True)


def attend(call: Callable[[], T], describe: Callable[[], str | None], period_s: float = 2.0) -> T:
    """Run a long call in a thread of its own and return what it returns.

    The calling thread stays free to hear signals, which a call into a C++ library would hold back
    until its end. It says ``describe()`` whenever that has changed; ``None`` is not said.

    Raises:
        BaseException: whatever the call raises.
    """
    outcome: Future[T] = Future()
    threading.Thread(target=_settle, args=(outcome, call), daemon=True).start()
    said = None
    while not wait([outcome], timeout=period_s).done:
        line = describe()
        if line is not None and line != said:
            say(line)
            said = line
    return outcome.result()


def _settle(outcome: Future[T], call: Callable[[], T]) -> None:
    try:
        outcome.set_result(call())
    except BaseException as error:  # handed to the thread that waits
        outcome.set_exception(error)


def say_result(**rows: str) -> None:
    """Print the table at the end."""
    say("result")
    for name, value in rows.items():
        say(f"  {name:<8} {value}")
