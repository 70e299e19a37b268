"""The end of a log as a person reads it: progress bars as they stood last, and no escape sequences."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from slipway.page.found import open_regular
from slipway.text.escapes import neutral
from slipway.text.wording import megabytes

_MOST_LINES = 3000
_MOST_LETTERS = 2000


@dataclass(frozen=True, kw_only=True)
class LogEnd:
    """The last lines of a log, and what is left out before them."""

    lines: list[str]
    note: str | None


def read_log_end(path: Path, most_bytes: int) -> LogEnd:
    """Read the end of a log.

    Raises:
        OSError: it cannot be read.
    """
    with open_regular(path) as file:
        size = os.fstat(file.fileno()).st_size
        start = max(0, size - most_bytes)
        file.seek(start)
        content = file.read(most_bytes)
    words = content.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
    lines = words.removesuffix("\n").split("\n") if words else []
    # What was cut in its midst is no line, unless there is no other.
    lines = lines[1:] if start and len(lines) > 1 else lines
    lines = [_as_it_stood(line) for line in lines[-_MOST_LINES:]]
    is_cut = start > 0 or len(lines) == _MOST_LINES
    note = f"the last {len(lines):,} lines of {megabytes(size)}" if is_cut else None
    return LogEnd(lines=lines, note=note)


def _as_it_stood(line: str) -> str:
    """What a terminal would show of a line that was written over itself."""
    shown = line.rstrip("\r").rpartition("\r")[2]
    return neutral(shown[:_MOST_LETTERS]) + ("…" if len(shown) > _MOST_LETTERS else "")
