"""A file that keeps all that programs printed during a task, for when something fails."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path
from typing import TextIO

# The newest files that are kept.
KEPT = 10


class OutputLog:
    """A file in a folder, which is made when the first line comes."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / f"{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.log"
        self._open: TextIO | None = None
        self._step: str | None = None

    @property
    def has_step(self) -> bool:
        """True where lines of the last step are in it."""
        return self._open is not None and self._step is None

    def step(self, text: str) -> None:
        """Head the lines that come now; a step without lines is left out."""
        self._step = text

    def line(self, text: str) -> None:
        """Keep a line. A disk that takes none keeps nobody from working."""
        with suppress(OSError):
            if self._open is None:
                self._make_room()
                self._open = self.file.open("w", encoding="utf-8", errors="backslashreplace", buffering=1)
            if self._step is not None:
                self._open.write(f"==> {self._step}\n")
                self._step = None
            self._open.write(f"{text}\n")

    def close(self) -> None:
        """Close the file, if there is one."""
        if self._open is not None:
            with suppress(OSError):
                self._open.close()

    def _make_room(self) -> None:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        for old in sorted(self.file.parent.glob("[0-9]*.log"))[: -KEPT + 1]:
            old.unlink(missing_ok=True)
