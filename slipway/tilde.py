"""Paths of this machine as people write them."""

from __future__ import annotations

import os
from pathlib import Path


def expand(word: str) -> Path:
    """A path with its home folder in the place of ``~``; that of an unknown user stays, as in a shell."""
    return Path(os.path.expanduser(word))  # noqa: PTH111 - Path's own method fails there
