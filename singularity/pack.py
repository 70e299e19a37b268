"""Makes one squashfs file of the files of a dataset, the same for the same content.

Runs where mksquashfs is: on this machine, or in the container of singularity/Dockerfile. It needs nothing
else there, so that it can be mounted into the container as a single file. The files come from a list, in its
order, and what mksquashfs is told of them is that list's: whose they are and when they were written is no
part of it.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

COMPRESSIONS = {"zstd": ["-comp", "zstd", "-Xcompression-level", "3"], "gzip": ["-comp", "gzip"]}
# Some programs read no time before 1980.
TIME_S = 946_684_800
# Each file begins a block of its own. So one that changes changes no block of another, and rsync finds the
# rest again.
LAYOUT = [
    "-b",
    "131072",
    "-no-fragments",
    "-no-exports",
    "-no-xattrs",
    "-all-root",
    "-root-mode",
    "755",
    "-noappend",
]
# Each clock that mksquashfs would write down.
TIMES = [f"-{name}-time={TIME_S}".split("=") for name in ("mkfs", "all", "root")]
_CHUNK = 1 << 20
_TOLD_EVERY_S = 0.2


def main() -> int:
    """Pack what ``--list`` names in ``--source`` into ``--out``, and write ``--facts``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="the folder")
    parser.add_argument("--list", type=Path, required=True, help="what of it; see `read_list`")
    parser.add_argument("--out", type=Path, required=True, help="the file to make")
    parser.add_argument("--facts", type=Path, required=True, help="the JSON file to write")
    parser.add_argument("--compression", choices=COMPRESSIONS, default="zstd")
    parser.add_argument("--owner", metavar="UID:GID", help="whom the files are to belong to")
    args = parser.parse_args()
    packing = Packing(args.source, args.list)
    code = packing.run(args.out, COMPRESSIONS[args.compression])
    if code:
        return code
    facts = {"changed": packing.changed, "sha256": hash_file(args.out), "size_bytes": args.out.stat().st_size}
    args.facts.write_text(json.dumps(facts), encoding="ascii")
    if args.owner:
        for path in (args.out, args.facts):
            os.chown(path, *(int(number) for number in args.owner.split(":")))
    return 0


def read_list(path: Path) -> Iterator[tuple[str, str, str, str]]:
    """Kind, name, bytes and SHA-256 or target of each entry; the four words of each end in zero bytes.

    The kind is ``d`` for a folder, ``l`` for a link, ``f`` for a file, ``x`` for one that may be run.
    """
    words = path.read_text(encoding="utf-8", errors="surrogateescape").split("\0")
    for at in range(0, len(words) - 3, 4):
        kind, name, size, detail = words[at : at + 4]
        yield kind, name, size, detail


class Packing:
    """Feeds mksquashfs with a list's files.

    Attributes:
        changed: the files that were not what the list says.
    """

    def __init__(self, source: Path, listed: Path) -> None:
        self.source = source
        self.entries = list(read_list(listed))
        self.changed: list[str] = []
        self._total = sum(int(size or 0) for _, _, size, _ in self.entries)
        self._done = 0
        self._told = time.monotonic()

    def run(self, out: Path, compression: list[str]) -> int:
        """Make the file; gives mksquashfs's exit code."""
        argv = ["mksquashfs", "-", str(out), "-tar", "-no-progress", "-quiet", *LAYOUT, *compression]
        argv += [word for words in TIMES for word in words]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.STDOUT)
        assert process.stdin is not None  # noqa: S101 - it is a pipe
        try:
            with process.stdin as pipe:
                self._write(pipe)
        except BrokenPipeError:
            pass  # it has ended, and said why
        except BaseException:
            process.kill()
            raise
        return process.wait()

    def _write(self, pipe: BinaryIO) -> None:
        with tarfile.open(
            fileobj=pipe, mode="w|", format=tarfile.GNU_FORMAT, encoding="utf-8", errors="surrogateescape"
        ) as tar:
            for kind, name, size, detail in self.entries:
                info = tarfile.TarInfo(name)
                info.mtime = TIME_S
                info.mode = 0o755 if kind in "dx" else 0o644
                if kind == "d":
                    info.type = tarfile.DIRTYPE
                elif kind == "l":
                    info.type, info.linkname = tarfile.SYMTYPE, detail
                if kind in "dl":
                    tar.addfile(info)
                    continue
                info.size = int(size)
                with open_file(self.source / name) as file:
                    content = Content(file, info.size, self._tell)
                    tar.addfile(info, content)  # type: ignore[arg-type]
                    if content.digest() != detail:
                        self.changed.append(name)

    def _tell(self, size_bytes: int) -> None:
        self._done += size_bytes
        now = time.monotonic()
        if now - self._told >= _TOLD_EVERY_S:
            self._told = now
            print(f"@packed {self._done} {self._total}", flush=True)


class Content:
    """So many bytes of a file, whatever has become of it, and the hash of what it holds."""

    def __init__(self, file: BinaryIO, size_bytes: int, tell: Callable[[int], None]) -> None:
        self._file, self._left, self._tell = file, size_bytes, tell
        self._hash = hashlib.sha256()

    def read(self, wanted: int = _CHUNK) -> bytes:
        """The next bytes; zeros where the file has become shorter."""
        count = min(wanted, self._left)
        piece = self._file.read(count)
        self._hash.update(piece)
        self._left -= count
        self._tell(count)
        return piece.ljust(count, b"\0")

    def digest(self) -> str:
        """The hash of all that was in the file; another one where it has grown."""
        self._hash.update(self._file.read(1))
        return self._hash.hexdigest()


def open_file(path: Path) -> BinaryIO:
    """A file of the dataset; one that is no file any more is an empty one."""
    try:
        # It was a file a moment ago; what took its place may lead anywhere.
        return os.fdopen(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb")
    except OSError:
        return io.BytesIO()


def hash_file(path: Path) -> str:
    """The SHA-256 of a file."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
