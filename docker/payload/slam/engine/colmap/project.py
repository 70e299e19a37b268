"""What COLMAP's steps share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slam.dataset.sequence import Sequence
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
