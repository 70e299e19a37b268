"""Text files of numbers and names, as people and other programs write them."""

from __future__ import annotations

import codecs
from pathlib import Path

from slam.errors import InputError

# The longer mark first: it begins with the shorter one.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file, stripped, each with its number from 1 on; ``#`` comments and empty lines left out.

    Raises:
        InputError: the file cannot be read, or is no text.
    """
    lines = ((number, line.strip()) for number, line in enumerate(read_text(path).split("\n"), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def read_text(path: Path) -> str:
    """All of a file, which is UTF-8, or what a byte order mark at its beginning says.

    Raises:
        InputError: the file cannot be read, or is no text.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror})") from error
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8-sig")
    text = data.decode(encoding, errors="replace")
    if "\0" in text:
        raise InputError(
            f"{path}: there are zero bytes in it, as in UTF-16 without a byte order mark; save it as UTF-8"
        )
    # Also those of old spreadsheets, which end lines by a carriage return alone.
    return text.replace("\r\n", "\n").replace("\r", "\n")


def read_comments(path: Path) -> list[str]:
    """The ``#`` comments of a file, without their marks, stripped.

    Raises:
        InputError: the file cannot be read, or is no text.
    """
    lines = (line.strip() for line in read_text(path).split("\n"))
    return [line.lstrip("#").strip() for line in lines if line.startswith("#")]
