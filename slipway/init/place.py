"""Whether a folder may become a project."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from tempfile import gettempdir

from slipway.errors import HostError, UsageError
from slipway.project import find_root
from slipway.share import share_folder


def check_place(folder: Path, *, sure: bool) -> None:
    """Refuse folders that are no place for a project.

    Args:
        folder: the folder.
        sure: the user has confirmed it, be it the home folder, that of temporary files, or a part of another
            project.

    Raises:
        UsageError: it is Slipway's own checkout, or somebody has to be sure first and is not.
        HostError: nothing can be written there.
    """
    own, root = share_folder(), find_root(folder)
    if folder == own or own in folder.parents:
        raise UsageError(
            f"{folder} is in Slipway's own checkout ({own}), which is set up already; go to the folder with "
            "your code and run `slipway init` there"
        )
    if root not in (None, folder) and not sure:
        raise UsageError(
            f"{folder} is in the project {root}: run `invoke init` there (`cd {shlex.quote(str(root))}`), or "
            "make it a project of its own with `invoke init --yes`"
        )
    if folder in (Path(folder.anchor), Path.home(), Path(gettempdir())) and not sure:
        raise UsageError(
            f"{folder} is no folder of one project: all that is in it would be the code of each job. Go to "
            "the folder with your code, or confirm it with `invoke init --yes`"
        )
    if not os.access(folder, os.W_OK):
        raise HostError(f"{folder} cannot be written to; nothing was changed")
