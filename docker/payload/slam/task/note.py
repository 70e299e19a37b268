"""What a person should know of a result, for the log and for ``summary.json``."""

from __future__ import annotations

from collections.abc import Iterator

from slam.dataset.image import needs_copy
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
    missing = why_no_transforms(sequence, estimate)
    if missing is not None:
        yield f"there is no {results.TRANSFORMS}, {missing}; --undistort writes one for undistorted images"


def why_no_transforms(sequence: Sequence, estimate: Estimate) -> str | None:
    """Why no file tells other programs the cameras of the images as they lie, where that is so."""
    missing = why_not(estimate.camera)
    if missing is not None:
        return f"which has no words for {missing}"
    if sequence.recording is not None or sequence.is_unpacked:
        return "for these frames are no files"
    copied = sum(needs_copy(sequence.frames[frame].image) for frame in estimate.places)
    if copied:
        return f"for {copied} images are stored turned, with more than 8 bits or in formats of their own"
    return None


def _shorten(names: list[str]) -> str:
    listed = ", ".join(names[:_MOST_NAMED])
    return listed if len(names) <= _MOST_NAMED else f"{listed} and others; {results.POSES} has all"
