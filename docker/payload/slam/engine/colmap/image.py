"""The frames as files that COLMAP reads in their order."""

from __future__ import annotations

from pathlib import Path

from slam.dataset.image import needs_copy, write_upright
from slam.dataset.mask import read_mask, write_mask
from slam.dataset.sequence import Sequence


def link_images(sequence: Sequence, folder: Path) -> tuple[str, ...]:
    """Give COLMAP the frames as 000000.png and so on, because it orders images by name; how each is called.

    It reads the files themselves, but for those that are stored turned, which it would take as they lie,
    those with more than 8 bits, of which it would take the upper 8, and those of formats that it does not
    know.
    """
    folder.mkdir()
    names = []
    for place, frame in enumerate(sequence.frames):
        if needs_copy(frame.image):
            names.append(f"{place:06d}.png")
            write_upright(frame.image, folder / names[-1], sequence.values)
        else:
            names.append(f"{place:06d}{frame.image.suffix.lower()}")
            (folder / names[-1]).symlink_to(frame.image.resolve())
    return tuple(names)


def write_masks(sequence: Sequence, names: tuple[str, ...], folder: Path) -> Path | None:
    """Give COLMAP the masks by the names of its images; their folder, or ``None`` where there is none.

    An image without one gets a white one: COLMAP would leave it out.
    """
    if not any(frame.mask for frame in sequence.frames):
        return None
    size = (sequence.width, sequence.height)
    for name, frame in zip(names, sequence.frames, strict=True):
        write_mask(read_mask(frame.mask, size), folder / f"{name}.png")
    return folder
