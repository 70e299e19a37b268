"""One large file, sent to a cluster under a name that says what is in it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import RemoteError, RemoteSpaceError, ScratchError, SpaceError
from slipway.host.host import Host
from slipway.host.inventory import Kind, remove_all, take_inventory
from slipway.progress import Amount, Progress, Transfer
from slipway.transfer.checksum import hash_remote
from slipway.transfer.choice import choose_carrier
from slipway.transfer.delta import Delta, send_delta
from slipway.transfer.rclone import Via
from slipway.transfer.source import Source, sha256_of

if TYPE_CHECKING:
    from slipway.transfer.sftp.sftp import Sftp

# What others have left is of no use to them after a week, by the clock of the cluster's file system.
ABANDONED = """
for folder in "$1"/.*.part; do
    test -d "$folder" && test "$folder" != "$2" || continue
    young=$(find "$folder" -newermt '7 days ago' -print -quit) && test -z "$young" && rm -rf -- "$folder"
done
"""
_TIMEOUT_S = 3600
_HARDLY_ANY_BYTES = 1_000_000


@dataclass(frozen=True, kw_only=True)
class LargeFile:
    """A file that is to be sent, and the words for it.

    Attributes:
        source: the file.
        sha256: of the file, in hex.
        size_bytes: of the file.
        path: its name on the cluster.
        upload_dir: a folder there that nobody else uses; what an attempt that was cut has left in it is made
            use of.
        newest: a link there that leads to an earlier version, where there is one.
        what: what a person calls such a file: ``image``.
        again: what brings it there once more: ``push again``.
        make_room: what to do where there is no room.
        delta: how it is made of an earlier version, where that is known.
    """

    source: Source
    sha256: str
    size_bytes: int
    path: PurePosixPath
    upload_dir: PurePosixPath
    newest: PurePosixPath
    what: str
    again: str
    make_room: str
    delta: Delta | None = None


class ChangedHereError(RemoteError):
    """What was to be sent has changed here, and did not look as if it had."""


def send_large_file(host: Host, file: LargeFile, progress: Progress, *, via: Via | None = None) -> Transfer:
    """Send a file to its upload folder, check it there by its hash, and give it its name.

    With ``via``, it goes by way of an intermediary.

    Raises:
        RemoteSpaceError: there is no room for it; what has arrived is removed.
        ScratchError: nothing can be written there.
        ChangedHereError: the file here has another hash than it should have.
        RemoteError: what arrived is not what was sent, or a command failed.
    """
    began = time.monotonic()
    try:
        host.make_folder(file.upload_dir)
    except RemoteSpaceError as error:
        raise RemoteSpaceError(f"{error}; {file.make_room}") from error
    except RemoteError as error:
        raise ScratchError(f"{error}; {file.path.parent} cannot be written to") from error
    if host.runs_commands:
        host.run(
            ["sh", "-c", ABANDONED, "slipway", str(file.path.parent), str(file.upload_dir)],
            timeout_s=_TIMEOUT_S,
        )
    _check_room(host, file)
    try:
        transfer = _send_new(host, file, progress) if via is None else None
        is_checked = transfer is not None
        transfer = transfer or _send_all(host, file, progress, via)
    except RemoteError as error:
        if not isinstance(error, RemoteSpaceError) and not _is_full(host, file.upload_dir):
            raise
        remove_all(host, file.upload_dir)
        raise RemoteSpaceError(f"{error}\n  What had arrived was removed; {file.make_room}") from error
    if not is_checked:
        progress.step("Checking what arrived")
        _check(host, file)
    host.move(_part(file), file.path)
    return replace(transfer, elapsed_s=time.monotonic() - began)


def _send_new(host: Host, file: LargeFile, progress: Progress) -> Transfer | None:
    """Have the file made there of an earlier version; ``None`` where that does not work."""
    if file.delta is None or not host.runs_commands:
        return None
    progress.step(f"Sending what is new in {file.source.name} ({file.delta.new_bytes / 1e6:,.1f} MB)")
    carrier = choose_carrier(host, progress)
    made = send_delta(host, carrier, file.source, file.upload_dir, file.delta, progress)
    if made is not None and made[1] == file.sha256:
        return made[0]
    # Another file may be there by now, or a program of the host may be too old.
    progress.note(f"The {file.what} could not be made there of the earlier one; all of it is compared")
    return None


def _send_all(host: Host, file: LargeFile, progress: Progress, via: Via | None) -> Transfer:
    has_old = via is None and host.size(file.newest) is not None
    title = f"Sending {file.source.name} ({file.size_bytes / 1e6:,.0f} MB)"
    is_sparse = via is None and not file.source.is_whole
    sftp = _sftp(host, file, progress, has_old=has_old) if is_sparse else None
    if sftp is None:
        try:
            path = file.source.file()
        except SpaceError as error:
            if host.transfer == "rsync":
                raise
            from slipway.transfer.sftp.sftp import Sftp

            progress.note(f"{error}. All of it goes by SFTP, for which it need not be written")
            sftp = Sftp(host)
    if sftp is not None:
        progress.step(title)
        return sftp.send_source(file.source, file.upload_dir, on_progress=progress.transfer)
    progress.step(f"Comparing with the {file.what} there" if has_old else title)
    carrier = via or choose_carrier(host, progress)
    return carrier.send_file(
        path,
        file.upload_dir,
        old=file.newest if has_old else None,
        on_progress=_teller(progress, title) if has_old else progress.transfer,
    )


def _sftp(host: Host, file: LargeFile, progress: Progress, *, has_old: bool) -> Sftp | None:
    """SFTP, where that sends no more than rsync would, for which the file has to be written first."""
    from slipway.transfer.sftp.sftp import Sftp

    carrier = choose_carrier(host, progress)
    if isinstance(carrier, Sftp):
        return carrier
    if has_old or host.transfer == "rsync":
        return None
    # rsync makes use of what was cut of another version.
    left = take_inventory(host, file.upload_dir) or {}
    files = {name for name, entry in left.items() if entry.kind is Kind.FILE}
    return Sftp(host) if files <= Sftp.left_of(file.source) else None


def _teller(progress: Progress, title: str) -> Callable[[Amount], None]:
    """Tells of each amount; the first one ends the step before and begins the next, which has a title."""
    waiting = [title]

    def tell(amount: Amount) -> None:
        if waiting:
            progress.step(waiting.pop())
        progress.transfer(amount)

    return tell


def _check_room(host: Host, file: LargeFile) -> None:
    """Raise where the new file does not fit, also if all that is left of earlier uploads is removed."""
    free = host.free_bytes(file.upload_dir)
    if free is None or free >= file.size_bytes:
        return
    free += _reclaimable(host, file.upload_dir)
    if free < file.size_bytes:
        remove_all(host, file.upload_dir)
        raise RemoteSpaceError(
            f"{host.target}:{file.path.parent} has {free / 1e6:,.1f} MB free, and the {file.what} takes "
            f"{file.size_bytes / 1e6:,.1f} MB; {file.make_room}"
        )


def _reclaimable(host: Host, upload_dir: PurePosixPath) -> int:
    """The bytes that are free again when an upload folder is removed."""
    if not host.runs_commands:
        left = take_inventory(host, upload_dir) or {}
        return sum(entry.size_bytes for entry in left.values() if entry.kind is Kind.FILE)
    # A file with another name elsewhere, as the old one, is not gone with the one in here.
    listed = host.run(["find", str(upload_dir), "-type", "f", "-links", "1", "-printf", "%s\\n"]).stdout
    return sum(int(size) for size in listed.split())


def _is_full(host: Host, folder: PurePosixPath) -> bool:
    # Not each way of sending says why it could not write.
    free = host.free_bytes(folder)
    return free is not None and free < _HARDLY_ANY_BYTES


def _part(file: LargeFile) -> PurePosixPath:
    return file.upload_dir / file.source.name


def _hash_there(host: Host, file: LargeFile) -> str | None:
    return hash_remote(host, file.upload_dir, [file.source.name]).get(file.source.name)


def _check(host: Host, file: LargeFile) -> None:
    part = _part(file)
    if _hash_there(host, file) == file.sha256:
        return
    host.remove(part)
    if sha256_of(file.source) != file.sha256:
        raise ChangedHereError(
            f"{file.source.path} is no longer what it was when it was made: its content has changed, and its "
            f"time has not; nothing of it was kept on {host.target}"
        )
    raise RemoteError(
        f"{host.target}:{part}: what arrived has another hash than what was sent; "
        f"it was removed there; {file.again}"
    )
