"""The terminal that somebody sits at, whatever standard input is."""

from __future__ import annotations

import getpass
import io
import os
import select
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO


@contextmanager
def open_tty() -> Iterator[TextIO]:
    """The terminal of this process.

    Raises:
        OSError: it has none.
    """
    if not _has_termios():
        with _open_console() as console:
            yield console
        return
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
    if not _has_termios():
        return _read_from_console(tty, prompt, echo=echo)
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


class Keys:
    """Single keys of a terminal, as they are pressed and not shown."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self, timeout_s: float) -> str:
        """What was pressed by now, or within so many seconds; empty where nothing was.

        Raises:
            EOFError: the terminal has gone.
        """
        ready, _, _ = select.select([self._descriptor], [], [], timeout_s)
        if not ready:
            return ""
        pressed = os.read(self._descriptor, 64)
        if not pressed:
            raise EOFError
        return pressed.decode("utf-8", "replace")

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Keys come without Enter and are not shown, for the time of a ``with``; Ctrl-Z does nothing."""
        import termios

        before = termios.tcgetattr(self._descriptor)
        own = termios.tcgetattr(self._descriptor)
        own[3] &= ~(termios.ECHO | termios.ICANON)
        own[6][termios.VSUSP] = b"\0"
        termios.tcsetattr(self._descriptor, termios.TCSADRAIN, own)
        try:
            yield
        finally:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)


class NoKeys(Keys):
    """Where single keys cannot be read: only Ctrl-C ends what goes on."""

    def __init__(self) -> None:
        super().__init__(-1)

    def read(self, timeout_s: float) -> str:
        """Nothing, after that time."""
        time.sleep(timeout_s)
        return ""

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """Change nothing."""
        yield


@contextmanager
def open_keys() -> Iterator[Keys]:
    """The keys of this process's terminal, whatever standard input is.

    Raises:
        OSError: it has none.
    """
    if not _has_termios():
        yield NoKeys()
        return
    descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    try:
        yield Keys(descriptor)
    finally:
        os.close(descriptor)


def terminal_session() -> str | None:
    """What sets the terminal session of this process apart from all others, on any machine.

    All programs that are started in one terminal window have the same. ``None`` where there is no terminal,
    and on Windows.
    """
    if not _has_termios():
        return None
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return None
    boot = ""  # Session numbers begin anew with it; only Linux tells it.
    with suppress(OSError):
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{os.getuid()}@{socket.gethostname()} {boot} {os.getsid(0)}"


def _has_termios() -> bool:
    """False on Windows, where a console takes the terminal's place."""
    try:
        import termios  # noqa: F401 - the question is whether it is there
    except ImportError:
        return False
    return True


def _open_console() -> TextIO:
    reader = open("CONIN$", "rb", buffering=0)  # noqa: PTH123, SIM115 - it is closed with the pair
    pair: Any = io.BufferedRWPair(reader, open("CONOUT$", "wb", buffering=0))  # noqa: PTH123, SIM115
    return io.TextIOWrapper(pair, encoding="utf-8", errors="replace")


def _read_from_console(console: TextIO, prompt: str, *, echo: bool) -> str:
    if not echo:
        return getpass.getpass(prompt)  # On Windows it reads from the console.
    console.write(prompt)
    console.flush()
    answer = console.readline()
    if not answer:
        raise EOFError
    return answer.rstrip("\r\n")
