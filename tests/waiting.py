"""Waiting in tests: a machine may be busy, and a deadline costs time only where something has failed."""

import time
from collections.abc import Callable
from typing import TypeVar

# Long enough for whatever a test waits for, on a machine that does a good deal else.
PATIENCE_S = 300.0
T = TypeVar("T")


def wait_until(ask: Callable[[], T], told: Callable[[], object] | str, pause_s: float = 0.2) -> T:
    """Ask again and again until the answer is a true one.

    Args:
        ask: what is asked.
        told: what a person needs where the answer never comes: words, or how they are found then.
        pause_s: seconds between two questions.

    Returns:
        The answer.

    Raises:
        AssertionError: it did not come within ``PATIENCE_S``; ``told`` is in the message.
    """
    deadline = time.monotonic() + PATIENCE_S
    while not (answer := ask()):
        if time.monotonic() > deadline:
            words = told if isinstance(told, str) else told()
            raise AssertionError(f"not within {PATIENCE_S:.0f} s: {words}")
        time.sleep(pause_s)
    return answer
