"""Lines of ``authorized_keys`` and ``known_hosts`` that are ours, by the comment that each ends with. Pure.

They are put before all others, and so a file is the same to the byte once they are taken out again.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

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


def remove_marked(content: bytes, beginning: str) -> tuple[bytes, tuple[str, ...]]:
    """A file without the lines whose comments begin so, and these comments.

    A line that somebody has put a ``#`` before is theirs.
    """
    kept, comments = [], []
    for line in content.splitlines(keepends=True):
        words = line.decode(errors="surrogateescape").split()
        if words and words[-1].startswith(beginning) and not words[0].startswith("#"):
            comments.append(words[-1])
        else:
            kept.append(line)
    return b"".join(kept), tuple(comments)


def has_key(content: bytes, blob: str) -> bool:
    """True where ``authorized_keys`` lets a key in, on whatever conditions.

    Args:
        content: of the file.
        blob: the key in base64.
    """
    return any(
        blob.encode() in line.split() for line in content.splitlines() if not line.lstrip().startswith(b"#")
    )
