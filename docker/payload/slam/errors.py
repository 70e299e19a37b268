"""Every way the program ends early, each with its exit code."""

from __future__ import annotations

import signal


class SlamError(Exception):
    """The root of all errors that are told in one line, without a traceback."""

    exit_code = 1


class UsageError(SlamError):
    """The command line is not one that the program has."""

    exit_code = 2


class ReconstructionError(SlamError):
    """The images were read, but no usable trajectory came out of them."""

    exit_code = 3


class InputError(SlamError):
    """A dataset or a file is not there, or is not what it should be."""

    exit_code = 4


class OutputError(SlamError):
    """Results or intermediate files cannot be written: the folder is closed, or its disk is full."""

    exit_code = 5


class MemoryShortError(SlamError):
    """The memory that the job was given does not suffice."""

    exit_code = 6


class CrashError(SlamError):
    """The engine's libraries brought their process down."""

    exit_code = 7


class DeviceError(SlamError):
    """There is no GPU, or the program was not compiled for this one."""

    exit_code = 8


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
