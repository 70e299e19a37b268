"""What moves files between this machine and a cluster, and how far it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Transfer:
    """What was moved: ``sent_bytes`` and ``received_bytes`` are those on the line, as this side sees them.

    ``elapsed_s`` is how long it took, with all that belongs to it, where somebody has measured that.
    """

    sent_bytes: int
    received_bytes: int
    total_bytes: int
    files: int
    elapsed_s: float | None = None


@dataclass(frozen=True, kw_only=True)
class Amount:
    """How far a transfer is.

    Attributes:
        done_bytes: of ``total_bytes``, what is at its place by now, however it got there.
        total_bytes: all that is to be there in the end.
        moved_bytes: what went over the line for it; the rest was there already.
        elapsed_s: seconds since the transfer began.
    """

    done_bytes: int
    total_bytes: int
    moved_bytes: int
    elapsed_s: float

    @property
    def rate_bytes_s(self) -> float:
        """Bytes a second on the line, since the beginning."""
        return self.moved_bytes / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds until the end, if it goes on as it did so far."""
        if not self.done_bytes or not self.elapsed_s:
            return None
        return (self.total_bytes - self.done_bytes) * self.elapsed_s / self.done_bytes

    @property
    def saved_bytes(self) -> int:
        """What did not have to go over the line."""
        return max(0, self.done_bytes - self.moved_bytes)


OnProgress = Callable[[Amount], None]


class Carrier(Protocol):
    """Moves files over the connection that is there: rsync, or SFTP where that is missing.

    What is cut goes on where it was when the same is asked for again. Each file gets its name when all of it
    has arrived, so that nobody sees half of one.
    """

    def send_file(
        self,
        source: Path,
        folder: PurePosixPath,
        *,
        old: PurePosixPath | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """Send one large file to ``folder``, under its own name.

        Args:
            source: the file.
            folder: a folder on the cluster that nobody else uses meanwhile; what an attempt that was cut has
                left in it is made use of.
            old: a file on the cluster with much of the same content, if there is one.
            on_progress: is told how far it is.
        """
        ...

    def send_tree(
        self,
        source: Path,
        target: PurePosixPath,
        *,
        names: Sequence[str] | None = None,
        old: PurePosixPath | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """Send what is in a folder to ``target``: files, folders and links as they are, with their times.

        Files that are there with the same size and time are not sent again.

        Args:
            source: the folder.
            target: the folder on the cluster; it is made where it is missing. Nothing in it is removed.
            names: only these, relative to ``source``; folders among them are made, and are not entered.
            old: a folder on the cluster that has earlier versions of the same files.
            on_progress: is told how far it is.
        """
        ...

    def fetch_tree(
        self,
        source: PurePosixPath,
        target: Path,
        *,
        without: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """Bring what is in a folder on the cluster to ``target``, in the same way.

        Args:
            source: the folder on the cluster.
            target: the folder here.
            without: names in ``source`` itself that stay there; ``*`` stands for any characters.
            on_progress: is told how far it is.
        """
        ...
