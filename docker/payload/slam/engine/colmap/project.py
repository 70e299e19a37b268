"""What COLMAP's steps share."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from slam.dataset.sequence import Sequence
from slam.engine.estimate import Settings


@dataclass(frozen=True, kw_only=True)
class Project:
    """What the steps share: COLMAP's images, by their names in a folder, and database; what was asked."""

    sequence: Sequence
    settings: Settings
    images: Path
    names: tuple[str, ...]
    pixels: str
    database: Path
