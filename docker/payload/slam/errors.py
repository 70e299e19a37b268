"""Every way the program ends early, each with its exit code."""

from __future__ import annotations

import signal


class SlamError(Exception):
    """The root of all errors that are told in one line, without a traceback."""

    exit_code = 1


class InputError(SlamError):
    """The command line or a file that it names is not what it should be."""

    exit_code = 2


class ReconstructionError(SlamError):
    """The images were read, but no usable trajectory came out of them."""

    exit_code = 3


class Stopped(BaseException):
    """A signal asked the program to stop.

    Like ``KeyboardInterrupt`` it is no ``Exception``, so that no library's ``except Exception`` swallows it.
    """

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number

    @property
    def exit_code(self) -> int:
        """128 plus the signal's number, as shells report it."""
        return 128 + self.number

    def __str__(self) -> str:
        return f"stopped by {signal.Signals(self.number).name} before it was finished"
