"""The values of grey images with more than 8 bits, and which of them become black and white."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from slam.dataset.sequence import Bytes, Numbers, ValueRange

Pixels = npt.NDArray[Any]

# Hot and dead pixels are fewer than this; they would leave little of the range to all others.
_EXTREMES_PERCENT = 0.1
# So many images, and pixels along each side of them, say what the range of a sequence is.
SAMPLED_IMAGES, _SAMPLED_PIXELS = 50, 300


def range_of(samples: Sequence[Numbers]) -> ValueRange | None:
    """The range of some images' values [n]; ``None`` where there is no image."""
    if not samples:
        return None
    values = np.concatenate(list(samples))
    if not len(values):
        return ValueRange(low=0.0, high=1.0)
    low, high = np.percentile(values, [_EXTREMES_PERCENT, 100 - _EXTREMES_PERCENT])
    return ValueRange(low=float(low), high=float(high))


def sample(pixels: Pixels) -> Numbers:
    """Some of an image's values [h, w], those that are finite."""
    down, right = (-(-side // _SAMPLED_PIXELS) for side in pixels.shape[:2])
    some = pixels[::down, ::right].astype(np.float64).ravel()
    return some[np.isfinite(some)]


def describe_range(values: ValueRange | None) -> tuple[str, ...]:
    """A note of what becomes of images with more than 8 bits, where there are any."""
    if values is None:
        return ()
    note = (
        f"images are grey with more than 8 bits: values from {values.low:g} to {values.high:g} become 0 to "
        "255, the same in all images"
    )
    return (note,)


def scale_values(pixels: Pixels, values: ValueRange | None) -> Bytes:
    """Values with more than 8 bits as ``values`` has it, or those of 16 bits as they are."""
    low, high = (values.low, values.high) if values else (0.0, 65535.0)
    scaled = (pixels.astype(np.float64) - low) * (255 / max(high - low, 1e-9))
    return np.clip(np.rint(np.nan_to_num(scaled)), 0, 255).astype(np.uint8)
