"""What a file, link or folder of code looks like."""

from __future__ import annotations

import os
import stat
from typing import NamedTuple

from slipway.hash_cache import FileKey, file_key


class Look(NamedTuple):
    """What is used of a status: of tens of thousands, all that a status has takes time and memory.

    Attributes:
        mode: its kind, and who may do what.
        key: see :func:`slipway.hash_cache.file_key`.
    """

    mode: int
    key: FileKey

    @property
    def size_bytes(self) -> int:
        """The bytes of a file; none of anything else."""
        return self.key[0] if stat.S_ISREG(self.mode) else 0

    @property
    def mtime_s(self) -> int:
        """When the content was last changed, in whole seconds since 1970."""
        return self.key[1] // 10**9


def look_of(status: os.stat_result) -> Look:
    """What a status says."""
    return Look(status.st_mode, file_key(status))
