"""What rsync should compare a cut upload with: the old image, what has arrived of the new one, or both.

    python bench/basis.py [--megabytes 330] [--folder FOLDER]

The upload of an image is cut at some point, and repeated. For each choice of a basis the real rsync, client
and server, sends the file once more; the table has the MB that the repetition sends and receives, and its
seconds without a network. `left` is what neither the old image nor what has arrived has in it.

The images are random bytes, which is what compressed ones look like: nothing in them repeats by chance.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

# A piece of an image, and whether the old one lacks it.
Piece = tuple[bytes, bool]
CUTS = (0.1, 0.5, 0.9)
# rsync calls it with a host name before the server's command line, which it runs here.
RSH = '#!/bin/sh\nshift\nexec "$@"\n'


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=330)
    parser.add_argument(
        "--folder", type=Path, help="where the files are made; three times their size is needed"
    )
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        measure(Path(folder), asked.megabytes * 1_000_000)


def measure(folder: Path, size_bytes: int) -> None:
    rsh = folder / "rsh"
    rsh.write_text(RSH)
    rsh.chmod(0o755)
    old = os.urandom(size_bytes)
    titles = [f"{title:>22}" for title in ("old", "what has arrived", "both")]
    print(f"{size_bytes / 1e6:.0f} MB; sent + received in MB, seconds of rsync")
    print(f"{'change':<12} {'cut at':>6}  {'left':>7}  {'  '.join(titles)}")
    for change, pieces in changes(old):
        (folder / "new").write_bytes(b"".join(piece for piece, _ in pieces))
        for cut in CUTS:
            arrived = (folder / "new").read_bytes()[: int(size_bytes * cut)]
            is_new = change == "no old one"
            bases = [None if is_new else (old,), (arrived,), None if is_new else (arrived, old)]
            cells = [send(folder, rsh, basis) if basis else "-" for basis in bases]
            left = rest(pieces, len(arrived)) / 1e6
            print(f"{change:<12} {cut:>6.0%}  {left:>7.2f}  {'  '.join(f'{cell:>22}' for cell in cells)}")


def changes(old: bytes) -> list[tuple[str, list[Piece]]]:
    """New versions: a little changed and moved, half of it, all of it."""
    size = len(old)
    middle, stretch = size // 2 + 12_345, size // 16
    small = [(old[:middle], False), (os.urandom(300_000), True), (old[middle + 290_000 :], False)]
    half = [
        (old[at : at + stretch], False) if number % 2 else (os.urandom(stretch), True)
        for number, at in enumerate(range(0, size, stretch))
    ]
    return [("300 KB", small), ("half", half), ("no old one", [(os.urandom(size), True)])]


def rest(pieces: list[Piece], arrived_bytes: int) -> int:
    """The bytes of what is new that come after what has arrived."""
    left, at = 0, 0
    for piece, is_new in pieces:
        if is_new:
            left += max(0, len(piece) - max(0, arrived_bytes - at))
        at += len(piece)
    return left


def send(folder: Path, rsh: Path, basis: tuple[bytes, ...]) -> str:
    """Send the new image to an empty folder beside a basis; what that cost."""
    target, beside = folder / "target", folder / "basis"
    for place in (target, beside):
        shutil.rmtree(place, ignore_errors=True)
        place.mkdir()
    with (beside / "new").open("wb") as file:
        file.writelines(basis)
    argv = [
        "rsync",
        "--stats",
        "--ignore-times",
        "--no-whole-file",
        f"--compare-dest={beside}",
        f"--rsh={rsh}",
    ]
    began = time.monotonic()
    done = subprocess.run(
        [*argv, str(folder / "new"), f"cluster:{target}/"], check=True, capture_output=True, text=True
    )
    took = time.monotonic() - began
    sent, received = (
        int(re.search(rf"Total bytes {word}: ([\d,]+)", done.stdout)[1].replace(",", ""))  # type: ignore[index]
        for word in ("sent", "received")
    )
    if (target / "new").read_bytes() != (folder / "new").read_bytes():
        raise SystemExit("rsync sent something else")
    return f"{sent / 1e6:.2f} + {received / 1e6:.2f}, {took:.1f} s"


if __name__ == "__main__":
    main()
