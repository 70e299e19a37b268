"""Text files of numbers and names, as people and other programs write them."""

from __future__ import annotations

from pathlib import Path

from slam.errors import InputError


def read_lines(path: Path) -> list[tuple[int, str]]:
    """The lines of a file, stripped, each with its number from 1 on; ``#`` comments and empty lines left out.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror})") from error
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), 1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]
