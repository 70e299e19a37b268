"""Packed datasets on a cluster: ``packed/<name>-<digest>.sqsh``; ``<name>.sqsh`` leads to the newest."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.dataset.packing import SUFFIX, PackedFile, dataset_of
from slipway.errors import ConnectionLostError, ParseError, RemoteError
from slipway.host.host import Host
from slipway.host.inventory import remove_all
from slipway.host.scratch import Scratch
from slipway.jsontext import load_json
from slipway.progress import Progress, Transfer
from slipway.transfer.large_file import LargeFile, send_large_file
from slipway.transfer.rclone import Via
from slipway.transfer.source import WholeFile

_MAKE_ROOM = "make room there: `invoke runs.prune --kind packed` removes older packed data that no job uses"
# A link whose file is gone is none.
_CURRENT = r"""
cd -- "$1" 2>/dev/null || exit 0
for link in *.sqsh; do
    [ -L "$link" ] && [ -e "$link" ] && printf '%s\0%s\0' "$link" "$(readlink -- "$link")"
done
exit 0
"""


@dataclass(frozen=True, kw_only=True)
class PackedThere:
    """A packed dataset on the cluster: its file, and what is written beside it.

    Attributes:
        path: the file.
        content: the hash of what is in it.
        sha256: of the file.
        size_bytes: of the file.
        files: how many files and links are in it.
        content_bytes: of all files in it, unpacked.
    """

    path: PurePosixPath
    content: str
    sha256: str
    size_bytes: int
    files: int
    content_bytes: int

    @property
    def record(self) -> PurePosixPath:
        """What is written beside it."""
        return self.path.with_suffix(".json")


def find_version(host: Host, path: PurePosixPath) -> PackedThere | None:
    """The packed file of this name that is there, as a whole."""
    size_bytes = host.size(path)
    if size_bytes is None:
        return None
    record = host.read(path.with_suffix(".json")) or b""
    try:
        values = load_json(record)
        known = {key: values[key] for key in ("content", "sha256", "size_bytes", "files", "content_bytes")}
        found = PackedThere(path=path, **known)
    except (ValueError, KeyError, TypeError):
        return None
    return found if found.size_bytes == size_bytes else None


def send_packed(
    host: Host,
    scratch: Scratch,
    file: PackedFile,
    there: PackedThere,
    client: str,
    progress: Progress,
    *,
    via: Via | None = None,
) -> Transfer:
    """Send a packed file to an upload folder of its own, check it there, and give it its name.

    It is compared with the version that is there, so that of one that has changed a little, little is sent.

    Args:
        host: the connection.
        scratch: where packed data lie.
        file: the file here. Nobody else of this client may send one of this dataset meanwhile.
        there: what it is to be.
        client: what sets this client apart from others who send to the same place.
        progress: is told what happens.
        via: the intermediary that it goes by way of.

    Raises:
        ConnectionLostError: what has arrived is made use of by the next attempt.
        RemoteSpaceError: there is no room for it; what has arrived is removed.
        RemoteError: what arrived is not what was sent, or a command failed.
    """
    name = dataset_of(there.path.name)
    upload_dir = scratch.packed / f".{name}.{client}.part"
    large = LargeFile(
        source=WholeFile(file.path),
        sha256=file.sha256,
        size_bytes=file.size_bytes,
        path=there.path,
        upload_dir=upload_dir,
        newest=scratch.packed / f"{name}{SUFFIX}",
        what="packed dataset",
        again="stage again",
        make_room=_MAKE_ROOM,
    )
    try:
        sent = send_large_file(host, large, progress, via=via)
    except ConnectionLostError as error:
        raise ConnectionLostError(
            f"{error}\n  What has arrived is kept there: the same command goes on where this one was"
        ) from error
    values = {
        key: getattr(there, key) for key in ("content", "sha256", "size_bytes", "files", "content_bytes")
    }
    host.write(there.record, json.dumps(values).encode())
    remove_all(host, upload_dir)
    return sent


def use_version(host: Host, scratch: Scratch, there: PackedThere) -> None:
    """Have jobs that are submitted from now on see this version.

    Raises:
        RemoteError: somebody has just removed it.
    """
    host.point(scratch.packed / f"{dataset_of(there.path.name)}{SUFFIX}", there.path.name)
    if host.size(there.path) is None:
        raise RemoteError(f"{host.target}:{there.path}: somebody has removed it just now; stage again")


def use_folder(host: Host, scratch: Scratch, name: str) -> bool:
    """Have jobs from now on see the folder of a dataset; says whether they did not before."""
    link = scratch.packed / f"{name}{SUFFIX}"
    if host.size(link) is None:
        return False
    host.remove(link)
    return True


def older_versions(host: Host, scratch: Scratch, there: PackedThere) -> list[str]:
    """The files of other versions of a dataset."""
    name = dataset_of(there.path.name)
    files = (file for file in host.list(scratch.packed) if file != there.path.name)
    return sorted(file for file in files if dataset_of(file) == name)


def current_command(scratch: Scratch) -> list[str]:
    """What :func:`current_versions` asks."""
    return ["sh", "-c", _CURRENT, "slipway", str(scratch.packed)]


def current_versions(host: Host, scratch: Scratch) -> dict[str, str]:
    """The packed datasets that jobs see from now on: the newest file of each, by the dataset's name.

    Raises:
        ParseError: what is there said something else.
    """
    answer = host.run_in_login_shell(current_command(scratch))
    if not answer.ok:
        raise RemoteError(f"{host.target}: {answer.explain()}")
    words = answer.stdout.split("\0")
    if len(words) % 2 != 1:
        raise ParseError(f"{host.target}:{scratch.packed} could not be looked through: {words[-1][:100]!r}")
    pairs = zip(words[::2], words[1::2], strict=False)
    # What somebody has linked there by hand is not Slipway's.
    return {
        link.removesuffix(SUFFIX): file
        for link, file in pairs
        if dataset_of(file) == link.removesuffix(SUFFIX)
    }


def choose_packed(current: Mapping[str, str], words: Iterable[str], *, names_others: bool) -> dict[str, str]:
    """The packed datasets that a job is to see: those that its words name; all, where they name no data.

    Args:
        current: the packed datasets.
        words: the program, its arguments and its variables.
        names_others: whether they name data that are not packed.
    """
    text: Sequence[str] = [*words]
    named = {name: file for name, file in current.items() if any(_is_named(name, word) for word in text)}
    return named if named or names_others else dict(current)


def _is_named(name: str, word: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(name)}(?![\w-]|\.\w)", word) is not None
