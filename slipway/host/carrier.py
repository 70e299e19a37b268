"""What moves files between this machine and a cluster."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Protocol

from slipway.progress import OnProgress, Transfer


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
        partial: bool = False,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """Send what is in a folder to ``target``: files, folders and links as they are, with their times.

        Files that are there with the same size and time are not sent again.

        Args:
            source: the folder.
            target: the folder on the cluster; it is made where it is missing. Nothing in it is removed.
            names: only these, relative to ``source``; folders among them are made, and are not entered.
            old: a folder on the cluster that has earlier versions of the same files.
            partial: go on where single files here cannot be read, or change meanwhile; the answer names them.
                Otherwise the first one ends all.
            on_progress: is told how far it is.
        """
        ...

    def fetch_tree(
        self,
        source: PurePosixPath,
        target: Path,
        *,
        names: Sequence[str] | None = None,
        without: Sequence[str] = (),
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """Bring what is in a folder on the cluster to ``target``, in the same way.

        What cannot be read there, or cannot be written here, is skipped, and the answer names it.

        Args:
            source: the folder on the cluster.
            target: the folder here; it exists.
            names: only these, relative to ``source``; folders among them are made, and are not entered.
            without: names in ``source`` itself that stay there; ``*`` stands for any characters.
            on_progress: is told how far it is.
        """
        ...
