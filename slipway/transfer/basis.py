"""What rsync compares an upload with: what was cut earlier, with the image that is there behind it."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.host.host import Host

# To have less than this part of the old image once more costs less time than copying that on its disk.
_WORTH_A_COPY = 1 / 100
_COPY_TIMEOUT_S = 6 * 3600
_BASIS = re.compile(r"[^/]+/basis-([0-9]{1,18})/[^/]+")
_JOINING = ".joining"
_LIST = 'test ! -d "$1" || exec find "$1" -mindepth 2 -type f -printf "%s %P\\0"'
# A second name costs nothing; some file systems have none.
_LINK = 'ln -L -- "$2" "$1" 2>/dev/null || cp --reflink=auto -- "$2" "$1"'
_JOIN = f"""
part=$(dirname -- "$1")/{_JOINING}
cp --reflink=auto -- "$2" "$part" && cat -- "$3" >>"$part" && mv -T -- "$part" "$1" && exit
rm -f -- "$part"
exit 1
"""
_CLEAN = 'cd -- "$1" && for name in *; do test "$name" = "$2" || rm -rf -- "./$name" || exit; done'
_TRIES = 3


@dataclass(frozen=True, kw_only=True)
class Left:
    """A file that an earlier attempt has left: its first ``length_bytes`` are the beginning of what it sent.

    Where ``is_joined`` is true, the image of that time is behind them.
    """

    path: str
    length_bytes: int
    is_joined: bool


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """The folders of one upload: where the file gets to, and where its namesake to compare with lies."""

    folder: PurePosixPath
    basis: PurePosixPath


def list_command(upload_dir: PurePosixPath) -> list[str]:
    """List the files of all attempts in an upload folder."""
    return ["sh", "-c", _LIST, "slipway", str(upload_dir)]


def parse_left(stdout: str) -> list[Left]:
    """Read the answer to :func:`list_command`; what is of another form is left out."""
    left = []
    for entry in filter(None, stdout.split("\0")):
        size, _, path = entry.partition(" ")
        match = _BASIS.fullmatch(path)
        if not re.fullmatch("[0-9]{1,18}", size):
            continue
        length = int(match[1]) if match else int(size)
        if length and not path.endswith(f"/{_JOINING}"):
            left.append(Left(path=path, length_bytes=length, is_joined=match is not None))
    return left


def choose_left(left: Sequence[Left], size_bytes: int, free_bytes: int | None) -> Left | None:
    """The remains that are furthest on, or ``None`` where the new file has room only without them.

    Of two that are as far, those that have the old image behind them already.
    """
    if free_bytes is not None and free_bytes < size_bytes:
        return None
    return max(left, key=lambda one: (one.length_bytes, one.is_joined), default=None)


def is_worth_joining(left: Left, old_bytes: int, size_bytes: int, free_bytes: int | None) -> bool:
    """True where the old image is to be copied behind the remains, and there is room for that, too."""
    needed = left.length_bytes + old_bytes + size_bytes
    return left.length_bytes >= old_bytes * _WORTH_A_COPY and (free_bytes is None or needed <= free_bytes)


def prepare_attempt(
    host: Host, upload_dir: PurePosixPath, name: str, size_bytes: int, old: PurePosixPath | None
) -> Attempt:
    """Make the folders of a new attempt, and give it the best basis that there is.

    rsync compares with one file. With the old image alone, all that a cut attempt has brought is sent again;
    with the remains of that attempt alone, all that is in the old image is. So the basis is the remains with
    the old image behind them.

    Each attempt has a folder of its own, for the rsync of one that was cut may still be there for a while. It
    goes on with its own file, whose beginning does not change, and in the end gives it its name.

    Args:
        host: the connection.
        upload_dir: a folder that nobody else uses; all that is in it is left from earlier attempts.
        name: the name of the file that is to be sent.
        size_bytes: its size.
        old: a file there with much of the same content.

    Raises:
        RemoteError: the folders cannot be made.
    """
    folder = upload_dir / secrets.token_hex(4)
    old_bytes = (host.size(old) if old else None) or 0
    basis = folder
    for _ in range(_TRIES):
        listed = parse_left(host.run(list_command(upload_dir)).stdout)
        free = host.free_bytes(upload_dir)
        left = choose_left(listed, size_bytes, free)
        basis = folder / f"basis-{left.length_bytes if left else 0}"
        host.check(["mkdir", "-p", "--", str(basis)])
        command = None
        if left and (left.is_joined or not old_bytes):
            command = ["mv", "-T", "--", str(upload_dir / left.path), str(basis / name)]
        elif left and is_worth_joining(left, old_bytes, size_bytes, free):
            command = _script(_JOIN, basis / name, upload_dir / left.path, old)
        elif old_bytes:
            command = _script(_LINK, basis / name, old)
        # What was cut a moment ago may be given another name by its rsync in between.
        if command is None or host.run(command, timeout_s=_COPY_TIMEOUT_S).ok:
            break
    host.check(["sh", "-c", _CLEAN, "slipway", str(upload_dir), folder.name], timeout_s=_COPY_TIMEOUT_S)
    return Attempt(folder=folder, basis=basis)


def _script(text: str, *words: object) -> list[str]:
    return ["sh", "-c", text, "slipway", *map(str, words)]
