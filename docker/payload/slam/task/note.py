"""What a person should know of a result, for the log and for ``summary.json``."""

from __future__ import annotations

from collections.abc import Iterator

from slam.dataset.sequence import Sequence
from slam.engine.estimate import Estimate
from slam.output import results
from slam.output.nerf import why_not

_MOST_NAMED = 8


def notes_of(sequence: Sequence, estimate: Estimate) -> Iterator[str]:
    """Frames that have no pose, models that could not be joined, files that are left out."""
    parts = (estimate.places, *estimate.parts)
    if len(parts) > 1:
        sizes = ", ".join(str(len(part)) for part in parts)
        folders = f"{results.MODELS}/0 to {results.MODELS}/{len(parts) - 1}"
        yield (
            f"the sequence fell into {len(parts)} models of {sizes} frames, each in a world of its own, with "
            f"nothing to join them ({folders}); trajectory and cloud are those of the first"
        )
    somewhere = {frame for part in parts for frame in part}
    names = sequence.image_names
    nowhere = [name for frame, name in enumerate(names) if frame not in somewhere]
    if nowhere:
        yield f"{len(nowhere)} of {len(names)} frames are in no model: {_shorten(nowhere)}"
    copied = estimate.facts.get("images_copied")
    if copied:
        yield (
            f"{copied} of {len(names)} images were copied for COLMAP, upright and with 8 bits: "
            f"{results.MODELS}/ is of these copies, which --undistort writes, and of the files only where a "
            "program turns them, too"
        )
    missing = why_not(estimate.camera)
    if missing is not None:
        yield (
            f"there is no {results.TRANSFORMS}, which has no words for {missing}; --undistort writes one for "
            "undistorted images"
        )


def _shorten(names: list[str]) -> str:
    listed = ", ".join(names[:_MOST_NAMED])
    return listed if len(names) <= _MOST_NAMED else f"{listed} and others; {results.POSES} has all"
