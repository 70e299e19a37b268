"""A large file that is made on the cluster: of an older one that is there, and of what is new, which is sent.

rsync finds out what two files have in common by reading both. Where that is known, only what is new is read
here, and the old file is copied there.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from slipway.progress import Progress, Transfer
from slipway.transfer.checksum import HASH
from slipway.transfer.source import Source

if TYPE_CHECKING:
    from slipway.host.carrier import Carrier
    from slipway.host.host import Host

_MAKE_TIMEOUT_S = 6 * 3600
# So much is compressed in a second. More is mostly what does not shrink.
_MOST_COMPRESSED = 32 << 20
# The parts come on standard input, a line each. What is made is hashed on its way, so that it need not be
# read again; a file that could not be written to its end is removed, or is short. What was begun is not left
# behind, and one that still goes on after its connection was lost writes elsewhere.
_MAKE = rf"""
making=$1.$$ new=$3 size=$4
trap 'rm -f -- "$making" "$making.new"' EXIT
case $3 in *.gz) new=$making.new; gzip -dc <"$3" >"$new" || exit ;; esac
while read -r which offset count; do
    case $which in old) from=$2 ;; *) from=$new ;; esac
    dd if="$from" skip="$offset" count="$count" bs=4M iflag=skip_bytes,count_bytes status=none || exit
done | {{ tee -- "$making" || rm -f -- "$making"; }} | {HASH}
[ "$(stat -c %s -- "$making")" = "$size" ] && mv -T -- "$making" "$1"
"""


@dataclass(frozen=True, kw_only=True)
class Part:
    """Bytes of a file.

    Attributes:
        offset: where they are: in the old file if they are there, otherwise in the new one.
        size_bytes: how many.
        is_there: whether the old file on the cluster has them.
    """

    offset: int
    size_bytes: int
    is_there: bool


@dataclass(frozen=True, kw_only=True)
class Delta:
    """How a file is made of an old one.

    Attributes:
        old: the old file on the cluster.
        parts: of the file, from its beginning to its end.
        folder: a folder here for what is new.
    """

    old: PurePosixPath
    parts: Sequence[Part]
    folder: Path

    @property
    def new_bytes(self) -> int:
        """How many bytes the old file does not have."""
        return sum(one.size_bytes for one in self.parts if not one.is_there)


def is_worth_it(parts: Sequence[Part]) -> bool:
    """True where more than half of the file is there already."""
    there = sum(one.size_bytes for one in parts if one.is_there)
    return there * 2 > sum(one.size_bytes for one in parts)


def send_delta(
    host: Host,
    carrier: Carrier,
    source: Source,
    folder: PurePosixPath,
    delta: Delta,
    progress: Progress,
) -> tuple[Transfer, str] | None:
    """Send what is new of a file, and make the file in a folder there. Its hash is for the caller to look at.

    Args:
        host: the connection; it runs commands.
        carrier: what sends.
        source: the file.
        folder: a folder there that nobody else uses; what an attempt that was cut has left is made use of.
        delta: how it is made.
        progress: is told what happens.

    Returns:
        What was sent, and the SHA-256 of what was made, in hex; ``None`` where it cannot be made there in
        this way.
    """
    new = _write_new(source, delta)
    transfer = carrier.send_file(new, folder, on_progress=progress.transfer)
    progress.step("Making the rest of it there of the earlier one")
    offset, lines = 0, []
    for part in delta.parts:
        if part.is_there:
            lines.append(f"old {part.offset} {part.size_bytes}\n")
        else:
            lines.append(f"new {offset} {part.size_bytes}\n")
            offset += part.size_bytes
    size_bytes = source.size_bytes
    words = (folder / source.name, delta.old, folder / new.name, size_bytes)
    made = host.run(
        ["sh", "-c", _MAKE, "slipway", *map(str, words)], stdin="".join(lines), timeout_s=_MAKE_TIMEOUT_S
    )
    host.remove(folder / new.name)
    return (replace(transfer, total_bytes=size_bytes), made.stdout[:64]) if made.ok else None


def _write_new(source: Source, delta: Delta) -> Path:
    """What the old file does not have, one behind the other. The same each time, so that it can go on."""
    is_small = delta.new_bytes <= _MOST_COMPRESSED
    path = delta.folder / f"{source.name}.new{'.gz' if is_small else ''}"
    with path.open("wb") as raw:
        # Without its name and time.
        out = gzip.GzipFile("", "wb", 6, raw, mtime=0) if is_small else raw
        for part in delta.parts:
            if part.is_there:
                continue
            for chunk in source.read(part.offset, part.size_bytes):
                out.write(chunk)
        if is_small:
            out.close()
    return path
