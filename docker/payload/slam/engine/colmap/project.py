"""What COLMAP's steps share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slam.dataset.sequence import Sequence
from slam.engine.colmap.options import Options, choose
from slam.engine.colmap.quality import QUALITY, Quality
from slam.engine.estimate import Settings


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the steps share: COLMAP's images, by their names in a folder, and database; what was asked.

    ``masks`` is a folder with a mask for some or all images, ``None`` where there is none.
    """

    sequence: Sequence
    settings: Settings
    images: Path
    names: tuple[str, ...]
    masks: Path | None
    pixels: str
    database: Path

    @property
    def options(self) -> Options:
        """How COLMAP is to work."""
        return choose(self.settings.options)

    @property
    def quality(self) -> Quality:
        """What the quality that was asked for sets."""
        return QUALITY[self.options.quality]

    @property
    def described_masks(self) -> str:
        """For messages about features that are missing."""
        return ", and masks that are not black there" if self.masks else ""

    @property
    def is_calibrated(self) -> bool:
        """Whether the camera is taken for what a calibration says, and left so."""
        return self.sequence.intrinsics is not None and not self.options.refine_camera
