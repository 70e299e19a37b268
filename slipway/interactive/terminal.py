"""This process's terminal, handed to a program elsewhere: keys go there, what it prints comes here.

From the first change of the terminal to its restoration no signal raises anything: a handler notes it, the
loop ends in order, and only then is the signal obeyed. So nothing leaves the terminal as it should not be.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Protocol

from slipway.errors import HostError
from slipway.host.terminal import Size
from slipway.interactive.escape import Escape

_CHUNK_BYTES = 1 << 14
_NOTED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT")
# What a full-screen program that was cut off leaves behind: its screen, a hidden cursor, a mouse that
# types, keys of another kind, colours.
_TIDY = b"\x1b[?1047l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1006l\x1b[?2004l\x1b[?1l\x1b>\x1b[0m\r\n"


class RemoteProgram(Protocol):
    """A program on a terminal elsewhere."""

    def recv(self, size_bytes: int) -> bytes:
        """Some of what it prints; nothing at the end."""

    def send(self, content: bytes) -> None:
        """Hand it what was typed."""

    def resize(self, size: Size) -> None:
        """Tell it that the terminal here has another size."""

    def close(self) -> None:
        """Give it up."""


class LeftError(Exception):
    """The person at the terminal has left the program, by ``~.``."""


class LocalTerminal:
    """The terminal that this process was started at.

    Attributes:
        kind: what it understands, as ``TERM`` has it.
    """

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.kind = os.environ.get("TERM") or "dumb"

    @property
    def size(self) -> Size:
        """How large it is now; as terminals once were, where it does not know."""
        try:
            columns, rows = os.get_terminal_size(self._descriptor)
        except OSError:
            columns, rows = 0, 0
        return Size(columns=columns or 80, rows=rows or 24)

    def attach(self, program: RemoteProgram) -> None:
        """Hand the terminal to a program until that has printed all that it will.

        Raises:
            LeftError: the person has left it.
            KeyboardInterrupt: this process was told to stop, by a signal and not by a key.
            SystemExit: it was told to end.
            Exception: what receiving or sending raised, where the connection was lost.
        """
        noted: list[int] = []
        is_whole = False
        try:
            with _woken() as (wake, listening), _signals(noted, wake), _raw(self._descriptor):
                is_whole = _Relay(self._descriptor, program, self.size, noted, wake, listening, self).run()
        finally:
            if not is_whole:
                with suppress(OSError):
                    os.write(self._descriptor, _TIDY)
        if noted:
            if noted[0] == signal.SIGINT:
                raise KeyboardInterrupt
            raise SystemExit(128 + noted[0])


@contextmanager
def open_terminal() -> Iterator[LocalTerminal]:
    """The terminal of this process.

    Raises:
        HostError: it has none that can be handed on.
    """
    try:
        import termios  # noqa: F401 - Windows has none
    except ImportError as error:
        raise HostError(
            "a terminal cannot be handed on here: Windows has none of the kind that is needed; "
            "use WSL, or name a command: `-- CMD`"
        ) from error
    try:
        descriptor = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY)
    except OSError as error:
        raise HostError("there is no terminal here; name a command: `-- CMD`") from error
    try:
        yield LocalTerminal(descriptor)
    finally:
        os.close(descriptor)


class _Relay:
    """What goes on while the terminal belongs to the program."""

    def __init__(
        self,
        descriptor: int,
        program: RemoteProgram,
        size: Size,
        noted: list[int],
        wake: int,
        listening: int,
        terminal: LocalTerminal,
    ) -> None:
        self._descriptor, self._program, self._size = descriptor, program, size
        self._noted, self._wake, self._listening, self._terminal = noted, wake, listening, terminal
        self._ended = threading.Event()
        self._error: BaseException | None = None

    def run(self) -> bool:
        """Relay until the program has printed all; true where it ended by itself."""
        printer = threading.Thread(target=self._print, daemon=True)
        printer.start()
        try:
            self._type()
        finally:
            if not self._ended.is_set():
                # Else the thread would wait for what nobody reads any more.
                self._program.close()
        printer.join(5)
        if self._error is not None and not self._noted:
            raise self._error
        return self._error is None and not self._noted

    def _print(self) -> None:
        try:
            while chunk := self._program.recv(_CHUNK_BYTES):
                _write_all(self._descriptor, chunk)
        except Exception as error:
            self._error = error
        finally:
            self._ended.set()
            with suppress(OSError):
                os.write(self._wake, b"\0")

    def _type(self) -> None:
        escape = Escape()
        while not (self._ended.is_set() or self._noted):
            ready, _, _ = select.select([self._descriptor, self._listening], [], [])
            if self._listening in ready:
                os.read(self._listening, 64)
                self._resize()
            if self._descriptor in ready:
                typed = _read(self._descriptor)
                content = escape.feed(typed)
                if content is None or not typed:
                    raise LeftError
                # Whatever has ended meanwhile is told by the other thread.
                with suppress(OSError, EOFError):
                    self._program.send(content)

    def _resize(self) -> None:
        size = self._terminal.size
        if size != self._size:
            self._size = size
            with suppress(Exception):
                self._program.resize(size)


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, _CHUNK_BYTES)
    except OSError:
        return b""  # the window was closed


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


@contextmanager
def _woken() -> Iterator[tuple[int, int]]:
    """Two ends of a pipe: what is written into the first wakes whoever waits for the second."""
    listening, wake = os.pipe()
    os.set_blocking(wake, False)
    try:
        yield wake, listening
    finally:
        os.close(wake)
        os.close(listening)


@contextmanager
def _signals(noted: list[int], wake: int) -> Iterator[None]:
    """Signals are noted; the size of the terminal is looked at again at each."""

    def note(number: int, frame: FrameType | None) -> None:
        if number != signal.SIGWINCH:
            noted.append(number)
        with suppress(OSError):
            os.write(wake, b"\0")

    numbers = [getattr(signal, name) for name in (*_NOTED, "SIGWINCH")]
    before: dict[int, Callable[..., Any] | int | None] = {}
    try:
        for number in numbers:
            before[number] = signal.getsignal(number)
            if before[number] is not signal.SIG_IGN:
                signal.signal(number, note)
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


@contextmanager
def _raw(descriptor: int) -> Iterator[None]:
    import termios
    import tty

    before = termios.tcgetattr(descriptor)
    try:
        tty.setraw(descriptor, termios.TCSADRAIN)
        yield
    finally:
        # The window may have been closed.
        with suppress(termios.error):
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
