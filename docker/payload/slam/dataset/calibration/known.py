"""What is known of a sequence's camera, and from where."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slam.dataset.camera import CALIBRATION, Intrinsics, describe
from slam.errors import InputError


@dataclass(frozen=True, kw_only=True)
class KnownCamera:
    """What is known of the camera of a sequence's images, ``None`` where that is nothing.

    ``path`` is the file that says so, ``source`` what it is in words, and ``notes`` what a person should know
    of how it was found.
    """

    intrinsics: Intrinsics | None = None
    path: Path | None = None
    source: str = ""
    notes: tuple[str, ...] = ()

    def __str__(self) -> str:
        """In one line for the log; empty where nothing is known."""
        return f"{self.source}: {describe(self.intrinsics)}" if self.intrinsics else ""


def require_camera(known: KnownCamera, folder: Path, else_by: str = "") -> Intrinsics:
    """The camera; ``else_by`` is how else it could be known, for the message.

    Raises:
        InputError: nothing says what it is.
    """
    if known.intrinsics is not None:
        return known.intrinsics
    what = (
        f"{folder}: the camera is unknown; write `fx fy cx cy [k1 k2 p1 p2 [k3]]` to {folder / CALIBRATION}, "
        f"or put a calibration of OpenCV, Kalibr, ORB-SLAM or COLMAP there{else_by}"
    )
    raise InputError("; ".join((what, *known.notes)))
