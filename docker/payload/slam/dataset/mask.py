"""Masks: images of the same size that are black where nothing is to be looked at, as COLMAP has them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from slam.dataset.files import MASKS, exists
from slam.dataset.image import read_header, read_upright
from slam.dataset.sequence import Bytes, Frame
from slam.errors import InputError


def add_masks(
    folder: Path, frames: tuple[Frame, ...], size: tuple[int, int], *, are_used: bool
) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """Give frames the masks in ``masks/`` in a sequence's folder; and what a person should know of it.

    That of ``walk.jpg`` is ``walk.jpg.png``, as COLMAP has it, or ``walk.png``. A frame may have none.

    Args:
        folder: the sequence's.
        frames: those that are taken.
        size: width and height of all images, when upright.
        are_used: whether the engine has a use for masks.

    Raises:
        InputError: a mask is no image, or of another size.
    """
    masks = folder / MASKS  # https://colmap.github.io/faq.html#mask-image-regions
    if not masks.is_dir():
        return frames, ()
    if not are_used:
        return frames, (f"{masks} is not used: this engine has no use for masks",)
    found = tuple(replace(frame, mask=_find(masks, frame.image)) for frame in frames)
    for frame in found:
        if frame.mask is not None:
            _require_size(frame.mask, frame.image, size)
    count = sum(frame.mask is not None for frame in found)
    missing = next((f", {frame.image.name} has none" for frame in found if frame.mask is None), "")
    if not count:
        missing += f"; its would be called {frames[0].image.name}.png or {frames[0].image.stem}.png"
    return found, (f"{masks}: {count} of {len(found)} images have a mask{missing}",)


def _find(masks: Path, image: Path) -> Path | None:
    names = (f"{image.name}.png", f"{image.stem}.png")
    return next((masks / name for name in names if exists(masks / name)), None)


def _require_size(mask: Path, image: Path, size: tuple[int, int]) -> None:
    width, height = read_header(mask).size
    if (width, height) != size:
        turned = "; masks are for upright images, as a viewer shows them" if (height, width) == size else ""
        raise InputError(
            f"{mask} is {width}x{height}, and its image {image.name} {size[0]}x{size[1]}{turned}; "
            "make it the same"
        )


def read_mask(source: Path | None, size: tuple[int, int]) -> Bytes:
    """A mask [h, w]: 0 where all colours of ``source`` are 0, else 255; without one all of it is 255.

    Raises:
        InputError: it cannot be read.
    """
    if source is None:
        return np.full((size[1], size[0]), 255, dtype=np.uint8)
    image = read_upright(source)
    deep = image.mode.startswith(("I", "F"))
    values = np.asarray(image if deep else image.convert("RGB"))
    is_seen = (values != 0).reshape(image.height, image.width, -1).any(2)
    mask: Bytes = 255 * is_seen.astype(np.uint8)
    return mask


def write_mask(mask: Bytes, path: Path) -> None:
    """Write a mask [h, w] as grey PNG with 8 bits."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask).save(path, format="PNG")
