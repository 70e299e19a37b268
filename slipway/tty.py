"""The terminal that somebody sits at, whatever standard input is."""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO


@contextmanager
def open_tty() -> Iterator[TextIO]:
    """The terminal of this process.

    Raises:
        OSError: it has none.
    """
    # Not standard input, which may be a file or a pipe: ssh asks here, too.
    descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    raw = io.FileIO(descriptor, "w+")
    with io.TextIOWrapper(raw, encoding="utf-8", errors="replace", write_through=True) as tty:
        yield tty


def read_answer(tty: TextIO, prompt: str, *, echo: bool) -> str:
    """A line that somebody types; shown as they do only with ``echo``.

    Raises:
        EOFError: they ended the input.
    """
    import termios

    tty.write(prompt)
    before = termios.tcgetattr(tty)
    if not echo:
        # As getpass does it, which cannot be told to leave standard input alone.
        silent = [*before]
        silent[3] &= ~termios.ECHO
        termios.tcsetattr(tty, termios.TCSAFLUSH, silent)
    try:
        answer = tty.readline()
    finally:
        termios.tcsetattr(tty, termios.TCSAFLUSH, before)
        if not echo:
            tty.write("\n")
    if not answer:
        raise EOFError
    return answer.removesuffix("\n")
