"""What a job wants of a container, and the protocol of what starts containers on nodes.

Another container runtime is one more module beside ``apptainer.py`` with a class of this protocol, a line in
``choose.py``, and a block in ``cluster/job/`` with the same functions as ``cluster/job/apptainer.sh``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol


@dataclass(frozen=True, kw_only=True)
class Mount:
    """A folder of the node, and where the program finds it."""

    source: PurePosixPath
    target: str
    read_only: bool = True


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a job wants of its container.

    Attributes:
        mounts: what it sees from the beginning; its script adds more.
        home: whether it gets the user's home folder.
        gpus: whether it gets GPUs.
        flags: the site's own words for what starts containers.
        binds: the site's own mounts, in the words of what starts containers.
    """

    mounts: Sequence[Mount]
    home: bool = False
    gpus: bool = False
    flags: Sequence[str] = ()
    binds: Sequence[str] = ()


class Runtime(Protocol):
    """What starts containers on nodes."""

    @property
    def block(self) -> str:
        """The name of its block in ``cluster/job/``."""

    @property
    def parts(self) -> frozenset[str]:
        """The parts of ``cluster/job.sh`` that only jobs with it have."""

    @property
    def suffix(self) -> str:
        """What the link to the newest image of a name ends with."""

    def command(self, wanted: Wanted) -> list[str]:
        """The argv that starts a container, without the script's own mounts, the image and the program."""

    def guards_image(self, flags: Sequence[str], *, packed: bool) -> bool:
        """Whether processes of the user's serve the image, or packed data, and have to outlive SIGTERM."""
