"""Sending a tree of code to a cluster, once for each content."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import shlex
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from slipway.code.package import Package
from slipway.code.snapshot import Snapshot
from slipway.code.tree import HASHES, PROOF, Tree, parse_tree
from slipway.errors import RemoteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.host.open_shell import Step
from slipway.host.scratch import Scratch
from slipway.progress import Amount, Progress
from slipway.shell import Result
from slipway.text.wording import counted

_CHUNK_BYTES = 1 << 16
# GNU tar has only the last of these words for a write that has found room for its beginning.
_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|Wrote only \d+ of \d+ bytes")
# Files that the new tree shares with the old one are the same files (hard links), where the file system has
# such links. The whole is compared with what it should be: scratch may have been cleared, or a file edited
# there. Two runs may send the same tree at once, each to a folder of its own. What attempts that were cut
# have left is removed after a day.
_MAKE = f"""
LC_ALL=C; export LC_ALL
cd -- "$1" || exit
[ ! -d "$2" ] || exit 0
tree=$2 part=$1/$3 base=$4 gone=$5 proof=$6 batch=$7
trap 'rm -rf -- "$part"' EXIT
share() {{ find "$base" -mindepth 1 -maxdepth 1 "$@" -print0; }}
if [ -n "$base" ]; then
    [ -d "$base" ] && mkdir -- "$part" || exit
    {{
        share ! -type d | xargs -0r cp -al -t "$part" -- &&
        share -type d | xargs -0r -n 4 -P 4 cp -al -t "$part" --
    }} 2>/dev/null || {{ rm -rf -- "$part" && cp -a -- "$base" "$part"; }} || exit
else
    mkdir -- "$part" || exit
fi
cd -- "$part" || exit
head -c "$gone" | xargs -0r rm -rf -- && tar -xf - --no-same-owner --no-same-permissions || exit
for hash in {shlex.join(HASHES)}; do
    found=$({{ case $hash in openssl*) exec 2>/dev/null ;; esac; {PROOF} }} | sha256sum)
    [ "$found" != "$proof  -" ] || break
done
[ "$found" = "$proof  -" ] || {{ echo "what arrived has another hash than what was sent" >&2; exit 1; }}
cd ..
mv -T -- "$part" "$tree" || [ -d "$tree" ] || exit
find . -mindepth 1 -maxdepth 1 -name '.*.part' -mmin +1440 -exec rm -rf -- '{{}}' + 2>/dev/null
exit 0
"""


def send_code(host: Host, scratch: Scratch, snapshot: Snapshot, progress: Progress) -> bool:
    """Send a snapshot's package, and make the tree of it, unless it is there already.

    Returns:
        False where its base does not serve: it is not there any more, or not what it was.

    Raises:
        ConnectionLostError: the connection was lost; nothing of it is there.
        RemoteSpaceError: there is no room for it.
        RemoteError: it cannot be made there.
    """
    step = code_step(scratch, snapshot, progress)
    made = host.run_in_login_shell(step.argv, stdin=step.stdin, stdin_bytes=step.stdin_bytes, timeout_s=None)
    return is_made(host, scratch, snapshot, made)


def code_step(scratch: Scratch, snapshot: Snapshot, progress: Progress) -> Step:
    """The program that makes a snapshot's tree there, with what is sent as its input."""
    package, tree = snapshot.package, snapshot.tree
    progress.step(f"Sending the code in {snapshot.source} ({_describe(snapshot)})")
    base = package.base.name if package.base is not None else ""
    gone = b"".join(os.fsencode(name) + b"\0" for name in package.gone)
    part = f".{tree.name}.{secrets.token_hex(4)}.part"
    words = [str(scratch.code), tree.name, part, base, str(len(gone)), tree.proof, str(tree.batch)]
    return Step(
        argv=["sh", "-c", _MAKE, "slipway", *words],
        stdin=_told(gone, package, progress),
        stdin_bytes=len(gone) + package.size_bytes,
    )


def is_made(host: Host, scratch: Scratch, snapshot: Snapshot, made: Result) -> bool:
    """What came of :func:`code_step`; returns and raises as :func:`send_code`."""
    if made.ok:
        return True
    if snapshot.package.base is not None:
        return False
    raise explain_unpacked(f"{host.target}:{scratch.code}: the code cannot be put there", made)


def explain_unpacked(what: str, result: Result) -> RemoteError:
    """The error for an archive that could not be unpacked there."""
    lines = "".join(f"\n  {line}" for line in result.stderr.strip().splitlines()[-8:])
    if _NO_ROOM.search(result.stderr):
        return RemoteSpaceError(f"{what}, since the disk is full, or a quota is reached:{lines}")
    return RemoteError(f"{what} (exit code {result.exit_code}):{lines}")


def recall_sent(state: Path, site: str, source: Path) -> Tree | None:
    """The tree of a code folder that was last sent to a site from here."""
    try:
        # One that is broken otherwise has another name than any tree there, and does not serve.
        return parse_tree(_sent_path(state, site, source).read_bytes())
    except (OSError, ValueError):
        return None  # There is none yet, or it is broken: everything is sent.


def remember_sent(state: Path, site: str, source: Path, tree: Tree) -> None:
    """Keep what :func:`recall_sent` gives."""
    path = _sent_path(state, site, source)
    part = path.with_suffix(f".{secrets.token_hex(4)}")
    with suppress(OSError):  # It only saves time.
        path.parent.mkdir(parents=True, exist_ok=True)
        part.write_bytes(tree.text)
        part.replace(path)


def _sent_path(state: Path, site: str, source: Path) -> Path:
    key = hashlib.sha256(os.fsencode(f"{site}\0{source.resolve()}")).hexdigest()[:32]
    return state / "code" / f"sent-{key}.tree"


def _describe(snapshot: Snapshot) -> str:
    package, files = snapshot.package, len(snapshot.tree.entries)
    if package.base is None:
        return f"{counted(files, 'file')}, {snapshot.size_bytes / 1e6:.1f} MB"
    return f"{package.files} of {counted(files, 'file')}"


def _told(gone: bytes, package: Package, progress: Progress) -> Iterator[bytes]:
    """What is sent, piece by piece; of each is told how far it is."""
    if gone:
        yield gone
    began, done_bytes = time.monotonic(), 0
    while chunk := package.archive.read(_CHUNK_BYTES):
        yield chunk
        done_bytes += len(chunk)
        progress.transfer(
            Amount(
                done_bytes=done_bytes,
                total_bytes=package.size_bytes,
                moved_bytes=done_bytes,
                elapsed_s=time.monotonic() - began,
            )
        )
