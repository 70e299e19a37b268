"""How the library tells what it is doing, without printing: steps, and how far a transfer is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from slipway.skipped import Skipped


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What was moved: ``sent_bytes`` and ``received_bytes`` went over the connection, as counted here.

    ``elapsed_s`` is how long it took, with all that belongs to it, where somebody has measured that.
    ``skipped`` could not be transferred, and ``left_out`` are pipes, sockets and devices, which never are.
    """

    sent_bytes: int
    received_bytes: int
    total_bytes: int
    files: int
    elapsed_s: float | None = None
    skipped: Sequence[Skipped] = ()
    left_out: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How far a transfer is.

    Attributes:
        done_bytes: of ``total_bytes``, what is at its place by now, however it got there.
        total_bytes: all that is to be there in the end.
        moved_bytes: what went over the connection for it; the rest was there already.
        elapsed_s: seconds since the transfer began.
    """

    done_bytes: int
    total_bytes: int
    moved_bytes: int
    elapsed_s: float

    @property
    def rate_bytes_s(self) -> float:
        """Bytes a second over the connection, since the beginning."""
        return self.moved_bytes / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until the end, if it goes on as it did so far."""
        if not self.done_bytes or not self.elapsed_s:
            return None
        return (self.total_bytes - self.done_bytes) * self.elapsed_s / self.done_bytes

    @property
    def saved_bytes(self) -> int:
        """What did not have to go over the connection."""
        return max(0, self.done_bytes - self.moved_bytes)


OnProgress = Callable[[Amount], None]


@runtime_checkable
class Progress(Protocol):
    """Somebody who watches a long step. A class that is derived from it has what it wants to be told."""

    # Each returns by its own word: without it, all four would have to be there.

    def step(self, text: str) -> None:
        """A new part of the work begins."""
        return

    def line(self, text: str) -> None:
        """A line that a program printed meanwhile."""
        return

    def transfer(self, amount: Amount) -> None:
        """So much has been copied."""
        return

    def note(self, text: str) -> None:
        """Something that the user should know, and that goes on."""
        return


class NullProgress:
    """Watches and says nothing."""

    def step(self, text: str) -> None:
        """Say nothing."""

    def line(self, text: str) -> None:
        """Say nothing."""

    def transfer(self, amount: Amount) -> None:
        """Say nothing."""

    def note(self, text: str) -> None:
        """Say nothing."""


@contextmanager
def explain_stop(words: str) -> Iterator[None]:
    """Have Ctrl-C say what is left, and how to go on; what one inside of this says stays."""
    try:
        yield
    except KeyboardInterrupt as error:
        if error.args:
            raise
        raise KeyboardInterrupt(words) from error
