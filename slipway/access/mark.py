"""Lines of ``authorized_keys`` and ``known_hosts`` that are ours, by the comment that each ends with. Pure.

They are put before all others, and so a file is the same to the byte once they are taken out again.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

# What the mark says besides: that the file, or its folder as well, was made for it.
MADE_FILE = ":file"
MADE_FOLDER = ":folder"


def mark(site: str, whose: str = "") -> str:
    """The comment of a line, or of a key, that is there because of a site.

    Args:
        site: the site's name.
        whose: whose key it is, such as ``user@host``; without it, the beginning of all of the site's.
    """
    return f"slipway:{re.sub(r'[^A-Za-z0-9._-]', '_', site)}:{re.sub(r'[^A-Za-z0-9._@-]', '_', whose)}"


def add_lines(content: bytes, lines: Sequence[str]) -> bytes:
    """A file with further lines."""
    return "".join(f"{line}\n" for line in lines).encode() + content


def remove_marked(
    content: bytes, beginning: str, stays: Callable[[Sequence[str]], bool] = lambda words: False
) -> tuple[bytes, tuple[str, ...]]:
    """A file without the lines whose comments begin so, and these comments.

    A line that somebody has put a ``#`` before is theirs, and one that ``stays`` says so of, by its words.
    """
    kept, comments = [], []
    for line in content.splitlines(keepends=True):
        words = line.decode(errors="surrogateescape").split()
        is_marked = words and words[-1].startswith(beginning) and not words[0].startswith("#")
        if is_marked and not stays(words):
            comments.append(words[-1])
        else:
            kept.append(line)
    return b"".join(kept), tuple(comments)


def made_by_us(content: bytes) -> str:
    """What the marks in a file say was made for them; nothing where the file was there before."""
    words = (line.split() for line in content.decode(errors="surrogateescape").splitlines())
    marks = [line[-1] for line in words if line and line[-1].startswith("slipway:")]
    return next((made for made in (MADE_FOLDER, MADE_FILE) if any(one.endswith(made) for one in marks)), "")


def is_of_another(words: Sequence[str], whose: str, keys: Sequence[str]) -> bool:
    """True of a line that was put there for the same, with a key that is none of these.

    Args:
        words: of the line.
        whose: as :func:`mark` was given it.
        keys: each as ``KIND BASE64``.
    """
    blobs = {key.split()[1] for key in keys}
    return words[-1].split(":")[2:3] == [whose] and blobs.isdisjoint(words)


def has_key(content: bytes, blob: str) -> bool:
    """True where ``authorized_keys`` lets a key in, on whatever conditions.

    Args:
        content: of the file.
        blob: the key in base64.
    """
    return any(
        blob.encode() in line.split() for line in content.splitlines() if not line.lstrip().startswith(b"#")
    )
