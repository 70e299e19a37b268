"""Where matplotlib keeps what it knows of fonts. The image has that, and may be read-only."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slam.output.results import workspace


@contextmanager
def writable_cache(folder: Path) -> Iterator[None]:
    """Give matplotlib, which insists on a folder it can write to, a copy where MPLCONFIGDIR is read-only.

    It looks when it is imported, also by processes that are started within the block: DROID-SLAM does that.
    The copy lies in ``$TMPDIR`` where that is set, else in ``folder``.
    """
    given = os.environ.get("MPLCONFIGDIR")
    if given is None or os.access(given, os.W_OK):
        yield
        return
    with workspace(folder) as copy:
        if Path(given).is_dir():
            shutil.copytree(given, copy, dirs_exist_ok=True, copy_function=shutil.copyfile)
        os.environ["MPLCONFIGDIR"] = str(copy)
        try:
            yield
        finally:
            os.environ["MPLCONFIGDIR"] = given
