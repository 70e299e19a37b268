"""What any engine is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from slam.cloud import Cloud
from slam.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to work on a sequence.

    ``matcher`` is ``auto``, ``sequential`` or ``exhaustive``. ``max_image_size`` bounds the longer side, in
    pixels, of the images that features are looked for in; ``None`` takes them as they are.
    """

    threads: int
    seed: int = 0
    matcher: str = "auto"
    max_image_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Where the camera was and what it saw, in one world of arbitrary scale.

    ``trajectory`` holds the registered frames in order. ``mean_reprojection_error_px`` is over all
    observations. ``versions`` names the libraries behind it, ``camera`` the camera that it used.
    """

    trajectory: Trajectory
    cloud: Cloud
    mean_reprojection_error_px: float
    versions: Mapping[str, str]
    camera: Mapping[str, object]
