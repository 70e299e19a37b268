"""What of a large file has arrived: a file beside it, with a line for each piece that was acknowledged.

A piece counts when its line has the hash of the same piece of the source as it is now. So what an attempt
that was cut has left is never mixed with another version of the file.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator

# What a cut costs at most is about two of them a channel.
PIECE_BYTES = 2 << 20
LINE_BYTES = 65
_LINE = re.compile(rb"[0-9a-f]{64}\n")


def identity(name: str, size_bytes: int, mtime_s: int) -> str:
    """What a version of a file is kept under while it is on its way."""
    words = f"{name}\0{size_bytes}\0{mtime_s}\0{PIECE_BYTES}"
    return hashlib.sha256(words.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def pieces(size_bytes: int) -> Iterator[tuple[int, int]]:
    """The pieces of a file of this size: where each begins, and its size in bytes."""
    for start in range(0, size_bytes, PIECE_BYTES):
        yield start, min(PIECE_BYTES, size_bytes - start)


def line(digest: str) -> bytes:
    """The line of a piece; that of the piece at ``start`` stands at :func:`place`."""
    return digest.encode() + b"\n"


def place(start: int) -> int:
    """Where in the journal the line of a piece is that begins at ``start``."""
    return start // PIECE_BYTES * LINE_BYTES


def parse_journal(content: bytes) -> dict[int, str]:
    """The hashes of the pieces, by where each begins; lines that are missing or torn are left out."""
    found = {}
    for number in range(len(content) // LINE_BYTES):
        words = content[number * LINE_BYTES : (number + 1) * LINE_BYTES]
        if _LINE.fullmatch(words):
            found[number * PIECE_BYTES] = words[:-1].decode()
    return found
