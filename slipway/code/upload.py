"""Sending a snapshot of code to a cluster, once for each content."""

from __future__ import annotations

import secrets
from pathlib import PurePosixPath

from slipway.code.snapshot import Snapshot
from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.progress import Progress
from slipway.transfer.choice import choose_carrier


def send_code(host: Host, scratch: Scratch, snapshot: Snapshot, progress: Progress) -> PurePosixPath:
    """Send a snapshot, unless the same tree is there; returns its folder on the cluster."""
    path = scratch.code / snapshot.tree
    if host.is_folder(path):
        return path
    progress.step(f"Sending the code ({snapshot.files} files, {snapshot.size_bytes / 1e6:.1f} MB)")
    # Two runs may send the same tree at once, each to a folder of its own.
    part = scratch.code / f".{snapshot.tree}.{secrets.token_hex(4)}.part"
    choose_carrier(host, progress).send_tree(snapshot.folder, part, on_progress=progress.transfer)
    try:
        host.move(part, path)
    except RemoteError:
        # Another run may have sent the same tree in the meantime; then that one serves.
        if not host.is_folder(path):
            raise
        host.run(["rm", "-rf", "--", str(part)])
    _clear_away(host, scratch)
    return path


def _clear_away(host: Host, scratch: Scratch) -> None:
    """Remove what attempts that were cut have left, after a day; what fails here is no matter."""
    stale = [
        "find",
        str(scratch.code),
        "-mindepth",
        "1",
        "-maxdepth",
        "1",
        "-name",
        ".*.part",
        "-mmin",
        "+1440",
    ]
    if host.runs_commands:
        host.run([*stale, "-exec", "rm", "-rf", "--", "{}", "+"])
