"""Copies on a cluster from one of its file systems to another, which the cluster makes itself."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from slipway.errors import DataError, RemoteError, RemoteSpaceError
from slipway.host.host import Host
from slipway.progress import Amount, Progress

_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded")


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What is to be copied; see ``cluster/keep.sh``.

    Attributes:
        source: the folder that it lies in.
        target: the folder that it is to lie in, at the same path.
        part: a folder on the same disk that nobody else uses.
        sums: the list of hashes, in the folder where it is kept.
        names: what, by paths below ``source``.
        manifest: the text that says what is in a dataset.
    """

    source: PurePosixPath
    target: PurePosixPath
    part: PurePosixPath
    sums: PurePosixPath
    names: Sequence[str]
    manifest: str = ""


@dataclass(frozen=True, kw_only=True)
class Copied:
    """What was copied, and what is there now as a whole."""

    files: int
    size_bytes: int
    all_files: int
    all_bytes: int


@dataclass
class _Said:
    """What the script has said so far."""

    token: str
    progress: Progress
    words: dict[str, str] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)
    began: float = field(default_factory=time.monotonic)

    def listen(self, line: str) -> None:
        token, _, rest = line.partition(" ")
        word, _, value = rest.partition(" ")
        if token != self.token:
            self.others.append(line)
        elif word == "step":
            self.progress.step(value)
        elif word == "amount":
            done, total = map(int, value.split())
            elapsed = time.monotonic() - self.began
            self.progress.transfer(
                Amount(done_bytes=done, total_bytes=total, moved_bytes=done, elapsed_s=elapsed)
            )
        else:
            self.words[word] = value


def make_copy(host: Host, script: str, copy: Copy, progress: Progress) -> Copied:
    """Have a cluster copy something, and check it; what is there already is not copied again.

    Args:
        host: the connection.
        script: the text of ``cluster/keep.sh``.
        copy: what.
        progress: is told each step.

    Raises:
        DataError: the original is not there, not whole, or not what it was when it was kept.
        RemoteSpaceError: there is no room for it.
        RemoteError: it cannot be read or written.
        SshError: the connection was lost; the same again goes on.
    """
    said = _Said(token=secrets.token_hex(8), progress=progress)
    words = (copy.source, copy.target, copy.part, copy.sums, copy.manifest)
    argv = ["bash", "-c", script, "slipway", said.token, *map(str, words), *copy.names]
    code = host.stream(argv, said.listen)
    if code or "end" not in said.words:
        raise _explain(host, copy, said, code)
    files, size_bytes, all_files, all_bytes = map(int, said.words["end"].split())
    return Copied(files=files, size_bytes=size_bytes, all_files=all_files, all_bytes=all_bytes)


def _explain(host: Host, copy: Copy, said: _Said, code: int) -> Exception:
    lines = "\n  ".join(said.others[-8:])
    why, _, what = said.words.get("failed", "").partition(" ")
    to = f"{host.target}:{copy.target}"
    left = f"What was copied is in {copy.part}: the same command goes on with it"
    if why == "room":
        free, needed = map(int, what.split())
        return RemoteSpaceError(
            f"{to} has {free / 1e6:,.1f} MB free, and {needed / 1e6:,.1f} MB are to be copied; make room "
            "there, or name another folder in the site's file (paths.home)"
        )
    if _NO_ROOM.search(lines):
        return RemoteSpaceError(
            f"{to}: the disk is full, or your quota is reached (`quota -s` there says it):\n  {lines}\n"
            f"  {left}, once there is room"
        )
    words = {
        "gone": f"{host.target}:{what} is not there",
        "incomplete": f"{host.target}:{what} is not whole: what was to copy it there was cut; keep it again",
        "damaged": f"{host.target}:{copy.source}: not what it was when it was kept: {what}",
        "changed": f"{to}: what was copied is not what is in {copy.source}: {what}; try again",
        "link": f"{host.target}:{what} is a link, and nothing is written through a link; move it away",
    }
    if why in words:
        return DataError(words[why])
    return RemoteError(f"{to}: the copy ended with exit code {code}:\n  {lines}\n  {left}")
