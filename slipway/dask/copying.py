"""Files that one host has brought to another, by that host itself."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import PurePosixPath

from slipway.access.machine import Machine
from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.text.number import whole

_SSH = ("ssh", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=yes", "-o", "UpdateHostKeys=no")
_PATIENCE_S = 6 * 3600
_SEND = 'file=$1; shift; exec "$@" <"$file"'
_PLACE = """
found=$(sha256sum -- "$1") || exit
[ "${found%% *}" = "$3" ] || { echo "what arrived has another hash"; rm -f -- "$1"; exit 1; } >&2
mv -f -- "$1" "$2"
"""
_LIST = 'cd -- "$1" 2>/dev/null || exit 0; find . -type f ! -name "*.part" -printf "%s %P\\0"'


def list_files(host: Host, folder: PurePosixPath) -> Mapping[str, int]:
    """The files in a folder there and their sizes in bytes; none where there is no such folder."""
    printed = host.check(["sh", "-c", _LIST, "slipway", str(folder)]).stdout
    pairs = (row.partition(" ") for row in printed.split("\0") if row)
    return {name: number for size, _, name in pairs if (number := whole(size)) is not None}


def send_command(path: PurePosixPath, part: PurePosixPath, user: str, address: tuple[str, int]) -> list[str]:
    """What a host runs to send a file to another one."""
    host, port = address
    # The other's login shell reads it, whichever it is.
    there = f"mkdir -p {shlex.quote(str(part.parent))} && cat >{shlex.quote(str(part))}"
    return [
        "sh",
        "-c",
        _SEND,
        "slipway",
        str(path),
        *_SSH,
        "-p",
        str(port),
        "--",
        f"{user}@{host}",
        there,
    ]


def copy_file(source: Host, machine: Machine, path: PurePosixPath) -> None:
    """Have a host send a file to the same place on another one, where it is checked by its hash.

    Args:
        source: the host that has it.
        machine: the other one, which is logged in to.
        path: the file, on both.

    Raises:
        RemoteError: it has not arrived as it is.
        SshError: the connection to one of them was lost.
    """
    assert machine.host is not None  # noqa: S101 - by the caller
    part = path.with_name(f".{path.name}.part")
    argv = send_command(path, part, machine.target.user, machine.address)
    sent = source.run(argv, timeout_s=_PATIENCE_S)
    where = f"{machine.target}:{path}"
    if not sent.ok:
        raise RemoteError(f"{where}: {source.target} could not send it there: {sent.explain()}")
    known = source.check(["sha256sum", "--", str(path)], timeout_s=_PATIENCE_S).stdout.split()[0]
    argv = ["sh", "-c", _PLACE, "slipway", str(part), str(path), known.lstrip("\\")]
    placed = machine.host.run(argv, timeout_s=_PATIENCE_S)
    if not placed.ok:
        raise RemoteError(f"{where}: {placed.explain()}")
