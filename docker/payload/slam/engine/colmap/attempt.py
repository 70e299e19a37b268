"""Other ways to place images, one after the other, where the first one fails."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from slam.engine.colmap.diagnosis import diagnose
from slam.engine.colmap.mapping import Attempt, map_images
from slam.engine.colmap.project import Project
from slam.errors import ReconstructionError
from slam.progress import say

if TYPE_CHECKING:
    import pycolmap

# COLMAP searches long for a first pair; others may take as long as the first attempt, or this.
LEAST_LIMIT_S = 60
AS_ASKED = "as asked"


@dataclass(frozen=True, kw_only=True)
class Placed:
    """The models, the largest first, and by which attempt they came."""

    models: list[pycolmap.Reconstruction]
    attempt: Attempt

    @property
    def images(self) -> int:
        """How many images all models have."""
        return sum(model.num_reg_images() for model in self.models)

    @property
    def largest(self) -> int:
        """How many images the largest model has."""
        return self.models[0].num_reg_images() if self.models else 0


def place_images(project: Project, database: pycolmap.Database) -> Placed:
    """Try until at least half of the images are placed; the attempt that placed most of them together.

    Raises:
        ReconstructionError: none placed three of them; the message says why, with numbers.
    """
    first = first_attempt(project)
    began = time.monotonic()
    best = _try(project, first)
    if not _suffices(best, project):
        diagnosis = diagnose(project, database)
        limit_s = int(max(LEAST_LIMIT_S, time.monotonic() - began))
        for attempt in () if diagnosis.is_final else other_attempts(first):
            found = _try(project, replace(attempt, limit_s=limit_s))
            best = max(best, found, key=lambda placed: placed.largest)
            if _suffices(best, project):
                break
        if not best.models:
            raise ReconstructionError(f"{project.sequence.name}: {diagnosis.message}")
    return best


def first_attempt(project: Project) -> Attempt:
    """What was asked for."""
    return Attempt(name=AS_ASKED, mapper=project.options.mapper, refines_camera=not project.is_calibrated)


def other_attempts(first: Attempt) -> Iterator[Attempt]:
    """What may do where the first one did not, the smallest change first."""
    relaxed = replace(first, name="relaxed first pair", mapper="incremental", is_relaxed=True)
    yield relaxed
    yield replace(relaxed, name="another seed", seed=1)
    if not first.refines_camera:
        yield replace(relaxed, name="refined camera", refines_camera=True)
    if first.mapper != "global":
        yield replace(first, name="global mapper", mapper="global")


def _try(project: Project, attempt: Attempt) -> Placed:
    placed = Placed(models=map_images(project, attempt), attempt=attempt)
    how = "" if attempt.name == AS_ASKED else f"{attempt.name}: "
    others = f", {placed.images - placed.largest} more in {len(placed.models) - 1} other models"
    say(
        f"mapping    {how}registered {placed.largest} of {len(project.names)}"
        f"{others if len(placed.models) > 1 else ''}"
    )
    return placed


def _suffices(placed: Placed, project: Project) -> bool:
    return 2 * placed.images >= len(project.names)
