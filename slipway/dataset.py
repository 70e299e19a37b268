"""Datasets on a cluster: folders of this machine that jobs read as ``/data/<name>``."""

from __future__ import annotations

import os
import re
from pathlib import Path, PurePosixPath

from slipway.carrier import choose_carrier
from slipway.depot import Depot
from slipway.errors import DataError
from slipway.link import Link
from slipway.progress import Progress
from slipway.transfer import Transfer

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"


def stage(
    link: Link, depot: Depot, source: Path, name: str, progress: Progress
) -> tuple[PurePosixPath, Transfer]:
    """Send a folder of data; jobs see it as ``/data/<name>``.

    A new dataset gets its name when all of it is there; in one that is there each file is replaced as a
    whole, and none is removed. Links that lead out of the folder are not followed and not sent; see
    :func:`left_out`. :func:`check_dataset` comes before.

    Raises:
        RemoteError: rsync failed.
    """
    path = depot.data / name
    part = depot.data / f".{name}.part"
    there = link.is_folder(path)
    progress.step(f"Sending {source} as {name}")
    transfer = choose_carrier(link, progress).send_tree(
        source, path if there else part, names=_listed(source), on_progress=progress.transfer
    )
    if not there:
        link.move(part, path)
    return path, transfer


def check_dataset(source: Path, name: str) -> None:
    """Refuse what cannot be staged.

    Raises:
        DataError: there is no such folder, it is empty, or the name is no plain name.
    """
    if not source.parts:
        raise DataError(
            "the path is empty; stage takes the folder whose files a job reads (`.` for this one)"
        )
    if not source.is_dir():
        raise DataError(f"{source} is not a folder; stage takes the folder whose files a job reads")
    if not any(source.iterdir()):
        raise DataError(f"{source} is empty; there is nothing to stage")
    if not re.fullmatch(_NAME, name):
        raise DataError(f"--name {name!r}: a dataset's name has letters, digits, '.', '_' and '-' only")


def left_out(source: Path) -> list[str]:
    """What :func:`stage` does not send, relative: links that lead out, pipes, sockets and devices."""
    root = source.resolve()
    return [str(path.relative_to(root)) for path in _walk(root) if not _is_fit(path, root)]


def _listed(source: Path) -> list[str]:
    root = source.resolve()
    return [str(path.relative_to(root)) for path in _walk(root) if _is_fit(path, root)]


def _walk(root: Path) -> list[Path]:
    walked = os.walk(root)
    return sorted(Path(top) / name for top, folders, files in walked for name in [*folders, *files])


def _is_fit(path: Path, root: Path) -> bool:
    return _stays(path, root) if path.is_symlink() else path.is_file() or path.is_dir()


def _stays(link: Path, root: Path) -> bool:
    # As rsync has it: by what the link says, not by what is there.
    target = link.readlink()
    place = Path(os.path.normpath(link.parent / target))
    return not target.is_absolute() and place.is_relative_to(root)
