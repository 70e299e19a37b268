"""Datasets on a cluster: folders and files of this machine that jobs read in ``/data/<name>``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from slipway.dataset.digest import hash_files
from slipway.dataset.manifest import Manifest
from slipway.dataset.staging import Staged, Staging
from slipway.dataset.survey import take_survey
from slipway.dataset.upload_dir import UploadDir
from slipway.errors import DataError, RemoteError
from slipway.host.host import Host
from slipway.host.inventory import remove_all
from slipway.host.scratch import Scratch
from slipway.progress import Progress
from slipway.skipped import Skipped, list_skipped

_NAME = r"[A-Za-z0-9][A-Za-z0-9._-]*"
# Somebody else may stage the same at the same time, from another machine. It needs much bad luck to be
# overtaken by them more often.
_TRIES = 3


def stage(
    host: Host,
    scratch: Scratch,
    source: Path,
    name: str,
    client: str,
    progress: Progress,
    *,
    memory: Path,
    delete: bool = False,
    verify: bool = False,
) -> Staged:
    """Have a folder of data on the cluster; jobs see it as ``/data/<name>``.

    What differs is sent to a folder beside it, checked there by hash, and moved into place: a new dataset as
    a whole, of one that is there each file as a whole. What is there is known from the manifest beside the
    dataset (``.<name>.sha256``) and from sizes and times. Links that lead out of the folder are not followed
    and not sent. What cannot be sent is in the answer's ``skipped``; all else is sent, and what is there of
    such a name stays. :func:`check_dataset` comes before.

    Args:
        host: the connection.
        scratch: where datasets are on the cluster.
        source: the folder here, or a single file.
        name: the dataset's name. Nobody else of this client may stage to it meanwhile.
        client: what sets this client apart from others who stage to the same place.
        progress: is told each step.
        memory: a folder of Slipway's own, where the hashes of files here are remembered.
        delete: remove what is there and not here.
        verify: believe no hash that was computed before, here or there.

    Raises:
        DataError: nothing here can be read, or something would remove what is there.
        RemoteSpaceError: there is not enough room on the cluster.
        RemoteError: a command on the cluster failed.
    """
    found = look_here(source, memory, progress, verify=verify)
    path = scratch.data / name
    part = path.with_name(f".{name}.{client}.part")
    upload_dir = UploadDir(host=host, source=source, memory=memory, folder=part, progress=progress)
    staging = Staging(
        host=host, path=path, upload_dir=upload_dir, progress=progress, delete=delete, verify=verify
    )
    for again in range(_TRIES):
        staged = staging.attempt(found.here, found.skipped, found.left_out)
        if staged is not None:
            if again:
                # What the try before has sent, and somebody else has brought there, too.
                remove_all(host, part)
            return staged
    raise RemoteError(
        f"{host.target}:{path} is being staged from another machine at the same time; try again after that"
    )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is in a folder here, or a single file.

    Attributes:
        root: the folder.
        here: what of it can be sent.
        skipped: what cannot, and why.
        left_out: pipes, sockets and devices.
    """

    root: Path
    here: Manifest
    skipped: Sequence[Skipped]
    left_out: Sequence[str]


def look_here(source: Path, memory: Path, progress: Progress, *, verify: bool = False) -> Found:
    """Look through a folder here, or a single file, and hash what is in it.

    Args:
        source: the folder or file.
        memory: a folder of Slipway's own, where the hashes of files here are remembered.
        progress: is told how far it is.
        verify: believe no hash that was computed before.

    Raises:
        DataError: nothing in it can be read.
    """
    survey = take_survey(source)
    hashed = hash_files(survey, memory, progress, doubted=survey.files if verify else ())
    skipped = [*survey.skipped, *hashed.skipped]
    here = Manifest(files=hashed.files, links=survey.links, folders=survey.folders)
    if not (here.files or here.links or here.folders):
        special = [Skipped(name=name, why="it is no file") for name in survey.left_out]
        raise DataError(f"{source}: nothing in it can be sent:\n{list_skipped([*skipped, *special])}")
    here = here.leaving_out([one.name for one in hashed.skipped])
    return Found(root=survey.root, here=here, skipped=skipped, left_out=survey.left_out)


def check_dataset(source: Path, name: str) -> None:
    """Refuse what cannot be staged.

    Raises:
        DataError: there is no such folder or file, it is empty, or the name is no plain name.
    """
    if not source.is_dir() and not source.is_file():
        raise DataError(
            f"{source} is not a folder or a file; stage takes the folder whose files a job reads, or one file"
        )
    if source.is_dir() and not any(source.iterdir()):
        raise DataError(f"{source} is empty; there is nothing to stage")
    if not re.fullmatch(_NAME, name):
        raise DataError(f"--name {name!r}: a dataset's name has letters, digits, '.', '_' and '-' only")
