"""A program elsewhere between this process's own input and outputs, which are no terminal: byte by byte."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from contextlib import suppress

from slipway.host.program import Program

_CHUNK_BYTES = 1 << 16


class Streams:
    """What a program prints, handed on from a mark on, and our input, handed to it.

    Args:
        program: it has begun.
        mark: what stands on both of its outputs before what is to be handed on.
    """

    def __init__(self, program: Program, mark: bytes) -> None:
        self._program = program
        self._output = _Filter(mark, lambda chunk: _write(sys.stdout.fileno(), chunk))
        self._errors = _Filter(mark, lambda chunk: _write(sys.stderr.fileno(), chunk))

    @property
    def has_begun(self) -> bool:
        """Whether the mark was seen."""
        return self._output.has_begun

    @property
    def errors_before(self) -> bytes:
        """What stood before the mark on standard error."""
        return self._errors.before

    def relay(self) -> None:
        """Hand on all that it prints, until it has printed all."""
        sys.stdout.flush()
        sys.stderr.flush()
        threading.Thread(target=self._feed, daemon=True).start()
        listener = threading.Thread(target=self._drain_errors, daemon=True)
        listener.start()
        while chunk := self._program.recv(_CHUNK_BYTES):
            self._output.add(chunk)
        listener.join()

    def _drain_errors(self) -> None:
        # What is lost is told by the thread that reads the other output.
        with suppress(OSError, EOFError):
            while chunk := self._program.recv_errors(_CHUNK_BYTES):
                self._errors.add(chunk)

    def _feed(self) -> None:
        # Nobody types into what prints to a file or a pipe, and in the background reading would stop it.
        with suppress(OSError, EOFError):
            while not os.isatty(0) and (chunk := os.read(0, _CHUNK_BYTES)):
                self._program.send(chunk)
        with suppress(OSError, EOFError):
            self._program.end_input()


class _Filter:
    """Hands on what comes behind a mark; ``before`` is what came before it."""

    def __init__(self, mark: bytes, write: Callable[[bytes], None]) -> None:
        self.before = b""
        self.has_begun = False
        self._mark, self._write = mark, write

    def add(self, chunk: bytes) -> None:
        if self.has_begun:
            self._write(chunk)
            return
        self.before, mark, after = (self.before + chunk).partition(self._mark)
        if mark:
            self.has_begun = True
            self._write(after)


def _write(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]
