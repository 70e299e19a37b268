"""What a job wants of a container, and the protocol of what starts containers on nodes.

Another container runtime is one more module beside ``apptainer.py`` with a class of this protocol, a line in
``choose.py``, and a block in ``cluster/job/`` with the same functions as ``cluster/job/apptainer.sh``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
class Form:
    """What of an image is sent to a site.

    Attributes:
        link: what the link to the newest image of a name ends with.
        files: what the names of its files end with.
    """

    link: str
    files: tuple[str, ...]


SIF = Form(link=".sif", files=(".sif",))
# What an engine loads; or nothing but an id, where the engine is the one that has built the image.
ARCHIVE = Form(link=".image", files=(".tar", ".id"))
# Which image in a registry is meant.
REFERENCE = Form(link=".ref", files=(".ref",))
# The squashfs of a .sif alone.
SQSH = Form(link=".sqsh", files=(".sqsh",))
FORMS = (SIF, ARCHIVE, REFERENCE, SQSH)
SUFFIXES = tuple(suffix for form in FORMS for suffix in form.files)


@dataclass(frozen=True, kw_only=True)
class Image:
    """An image on a site: its file there, and the id of the Docker image that this came from."""

    path: PurePosixPath
    image_id: str


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What a job wants of its container.

    Attributes:
        mounts: what it sees from the beginning; its script adds more.
        home: whether it gets the user's home folder.
        gpus: whether it gets GPUs.
        memory_mib: the most that it may take; ``None`` without a limit.
        flags: the site's own words for what starts containers.
        binds: the site's own mounts, in the words of what starts containers.
    """

    mounts: Sequence[Mount]
    home: bool = False
    gpus: bool = False
    memory_mib: float | None = None
    flags: Sequence[str] = ()
    binds: Sequence[str] = ()


class Runtime(Protocol):
    """What starts containers on nodes."""

    @property
    def program(self) -> str:
        """The program that starts containers; empty where none is needed."""

    @property
    def blocks(self) -> Mapping[str, str]:
        """Its blocks in ``cluster/job/``, by the lines of the template whose place they take."""

    @property
    def parts(self) -> frozenset[str]:
        """The parts of ``cluster/job.sh`` that only jobs with it have."""

    @property
    def form(self) -> Form:
        """What of an image is sent."""

    @property
    def binds_packed(self) -> bool:
        """Whether it binds a file as the folder that is packed in it."""

    def command(self, wanted: Wanted) -> list[str]:
        """The argv that starts a container, without the script's own mounts, the image and the program."""

    def settings(self, wanted: Wanted, image: Image) -> list[str]:
        """The lines of a job's script that its blocks read."""

    def try_lines(self, command: str, inside: str, *, gpus: bool) -> str:
        """Lines of shell, for a node, that become a program in an image: `doctor` tries a container by them.

        Args:
            command: what :meth:`command` gives, as text. ``$here`` is the folder that is to be ``/out``, and
                ``$image`` the image's file.
            inside: the program, as words for ``/bin/sh -c``.
            gpus: whether it gets GPUs.
        """

    def guards_image(self, flags: Sequence[str], *, packed: bool) -> bool:
        """Whether processes of the user's serve the image, or packed data, and have to outlive SIGTERM."""
