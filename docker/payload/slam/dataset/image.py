"""Image files, and the pixels in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from slam.dataset.sequence import Bytes, Metres, Numbers
from slam.errors import InputError

Pixels = npt.NDArray[Any]

# https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, 4.6.4: rows of pixels are columns then.
_ORIENTATION, _LYING = 0x0112, (5, 6, 7, 8)


def _opencv() -> Any:
    """Whether it is there to be looked at or not, type checkers take it for anything."""
    import cv2

    return cv2


def size_of_image(path: Path, *, whole: bool = False) -> tuple[int, int]:
    """Width and height in pixels, by what the file says at its beginning, turned as a camera says in a JPEG.

    OpenCV, which reads the pixels, turns them. With ``whole`` it is decoded, and not turned.

    Raises:
        InputError: it is no image.
    """
    try:
        with Image.open(path) as image:
            if whole:
                image.load()
                return image.size
            is_turned = image.format == "JPEG" and image.getexif().get(_ORIENTATION) in _LYING
            return (image.height, image.width) if is_turned else image.size
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: not a readable image ({error}); replace it or take it out") from error


def read_color(path: Path, size: tuple[int, int]) -> Bytes:
    """An image file as blue, green, red [h, w, 3].

    Raises:
        InputError: it cannot be read, or is not of ``size`` (width, height).
    """
    cv2 = _opencv()

    pixels = _decode(path, cv2.IMREAD_COLOR)
    _require_size(path, pixels.shape, size)
    return np.asarray(pixels, dtype=np.uint8)


def read_depth(path: Path, size: tuple[int, int], units_per_metre: float) -> Metres:
    """A depth image [h, w] in metres, 0 where nothing was measured: 16-bit PNG, or ``.npy`` in metres.

    Raises:
        InputError: it cannot be read, has not 16 bits, or is not of ``size`` (width, height).
    """
    metres = _load(path) if path.suffix == ".npy" else _read_units(path) / units_per_metre
    _require_size(path, metres.shape, size)
    known = np.isfinite(metres) & (metres > 0)
    return np.where(known, metres, 0).astype(np.float32)


def _read_units(path: Path) -> Pixels:
    units = _decode(path, _opencv().IMREAD_ANYDEPTH)
    if units.dtype != np.uint16:
        raise InputError(f"{path}: a depth image has 16 bits a pixel, and this one has {8 * units.itemsize}")
    return units


def _load(path: Path) -> Numbers:
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable depth image ({error}); stage the sequence again") from error


def _decode(path: Path, flags: int) -> Pixels:
    cv2 = _opencv()

    try:
        data = np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise InputError(f"{path}: it cannot be read ({error.strerror})") from error
    try:
        pixels = cv2.imdecode(data, flags) if len(data) else None
    except cv2.error:
        pixels = None
    if pixels is None:
        raise InputError(f"{path}: not a readable image; replace it or take it out")
    return np.asarray(pixels)


def _require_size(path: Path, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    if (shape[1], shape[0]) != size:
        raise InputError(
            f"{path} is {shape[1]}x{shape[0]}, and the sequence's images are {size[0]}x{size[1]}; "
            "one sequence is one camera with images of one size"
        )
