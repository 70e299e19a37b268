"""Image files, and the pixels in them: upright, and with 8 bits, whatever the format and the engine.

Cameras that are held upright store rows of pixels as columns, or upside down, and write an orientation
(EXIF) beside them. Viewers turn such images, and a calibration is for what a viewer shows. Here Pillow
decodes all formats. OpenCV turns some formats and some not, and COLMAP turns none.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, TiffImagePlugin, UnidentifiedImageError
from PIL.ExifTags import IFD, Base

from slam.dataset.header import Header
from slam.dataset.sequence import Bytes, Metres, Numbers, ValueRange
from slam.dataset.value import SAMPLED_IMAGES, range_of, sample, scale_values
from slam.errors import InputError

Pixels = npt.NDArray[Any]

_BROKEN = (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError, EOFError)
# https://www.cipa.jp/std/documents/e/DC-X008-Translation-2019-E.pdf, 4.6.4: what each orientation asks for.
_ORIENTATION = 0x0112
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_LYING = (5, 6, 7, 8)
# Pillow's words for grey images of more than 8 bits.
_DEEP = ("I;16", "I;16B", "I;16L", "I;16N", "I", "F")
# pycolmap's wheel is built without the others.
COMMON = frozenset({".bmp", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff"})
# What Pillow reads by a library of its own.
_HEIF = (".heic", ".heif")


def read_header(path: Path, *, whole: bool = False) -> Header:
    """What an image file is; with ``whole`` it is decoded as well, so that a broken one is found.

    Raises:
        InputError: it is no image.
    """
    with _opened(path) as (image, orientation):
        width, height = _stored_size(image)
        header = Header(
            size=(height, width) if orientation in _LYING else (width, height),
            is_turned=orientation in _TURNS,
            is_deep=image.mode in _DEEP,
        )
        if whole:
            image.load()
        return header


@cache
def needs_copy(path: Path) -> bool:
    """Whether a program that turns no image, and knows 8 bits and common formats only, sees something else.

    Raises:
        InputError: it is no image.
    """
    header = read_header(path)
    return header.is_turned or header.is_deep or path.suffix.lower() not in COMMON


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image.Image, int]]:
    """An image file and its orientation, which is 1 for an upright one.

    Raises:
        InputError: it is no image, or is found to be broken within the block.
    """
    try:
        with warnings.catch_warnings():
            # Of EXIF that is broken, which leaves the pixels as they are.
            warnings.simplefilter("ignore", UserWarning)
            if path.suffix.lower() in _HEIF:
                _learn_heif(path)
            with Image.open(path) as image:
                yield image, _orientation(image)
    except _BROKEN as error:
        raise InputError(f"{path}: not a readable image ({error}); replace it or take it out") from error


def _learn_heif(path: Path) -> None:
    """Teach Pillow HEIC. Its library turns an image upright itself, and its orientation is 1 from then on."""
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            f"{path}: reading HEIC needs pillow-heif, which is not here; build the image again, or convert "
            "the photographs to JPEG"
        ) from error
    pillow_heif.register_heif_opener()


def _orientation(image: Image.Image) -> int:
    try:
        found = image.getexif().get(_ORIENTATION)
    except Exception:  # Pillow raises many kinds of errors for what is no EXIF; the pixels may be well
        return 1
    return int(found) if found in _TURNS else 1


def _stored_size(image: Image.Image) -> tuple[int, int]:
    """Width and height as they lie in the file; of a TIFF, Pillow gives those of the upright image."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(image.tag_v2[256]), int(image.tag_v2[257])
    return image.size


def read_upright(path: Path) -> Image.Image:
    """The image in a file, turned as its orientation says.

    Raises:
        InputError: it cannot be read.
    """
    with _opened(path) as (image, orientation):
        if isinstance(image, TiffImagePlugin.TiffImageFile):
            # Pillow turns a TIFF by itself while it loads it, but not one that it maps into memory by name.
            image.filename = ""
            image.load()
            return image.copy()
        image.load()
        if orientation not in _TURNS:
            return image.copy()
        return image.transpose(_TURNS[orientation])


def find_range(paths: Iterable[Path]) -> ValueRange | None:
    """The one range of values of all deep images of a sequence; ``None`` where there is no such image.

    One for all of them, because what is equally bright in two images has to stay so. It leaves out the
    darkest and the brightest thousandth of pixels, and looks at some images and pixels only.

    Raises:
        InputError: an image cannot be read.
    """
    deep = list(paths)
    if not deep:
        return None
    step = -(-len(deep) // SAMPLED_IMAGES)
    return range_of([sample(np.asarray(read_upright(path))) for path in deep[::step]])


def describe_pixels(paths: Sequence[Path]) -> str:
    """How deep the pixels of some images are, and from what to what, by the first, the middle and the last.

    Raises:
        InputError: an image cannot be read.
    """
    images = [read_upright(paths[place]) for place in sorted({0, len(paths) // 2, len(paths) - 1})]
    arrays = [np.asarray(image) for image in images]
    kind = "grey" if images[0].mode in ("1", "L", "LA", *_DEEP) else "colour"
    low, high = min(array.min() for array in arrays), max(array.max() for array in arrays)
    return f"{8 * arrays[0].itemsize}-bit {kind} with values from {low:g} to {high:g}"


def reduce_depth(image: Image.Image, values: ValueRange | None) -> Image.Image:
    """An image with 8 bits: of a deep one, ``values`` become 0 to 255, and what is outside 0 or 255."""
    if image.mode not in _DEEP:
        return image
    return Image.fromarray(scale_values(np.asarray(image), values))


def read_color(path: Path, size: tuple[int, int], values: ValueRange | None = None) -> Bytes:
    """An image file as blue, green, red [h, w, 3], upright; ``values`` are those of deep images.

    Raises:
        InputError: it cannot be read, or is not of ``size`` (width, height).
    """
    image = reduce_depth(read_upright(path), values)
    pixels = np.asarray(image.convert("RGB"))
    _require_size(path, pixels.shape, size)
    return np.ascontiguousarray(pixels[:, :, ::-1])


def write_upright(source: Path, path: Path, values: ValueRange | None) -> None:
    """Write an image with 8 bits and upright as PNG, without a loss, and with what else its EXIF says.

    Raises:
        InputError: it cannot be read.
    """
    with _opened(source) as (image, _):
        exif = _exif_of(image)
    upright = reduce_depth(read_upright(source), values)
    shown = upright if upright.mode in ("L", "RGB") else upright.convert("RGB")
    shown.save(path, format="PNG", compress_level=1, **({"exif": exif} if exif else {}))


def _exif_of(image: Image.Image) -> bytes:
    """Of an image's EXIF the camera and how the photograph was made, the focal length above all.

    The rest is left out. Of a TIFF it says how the file is laid out, and would be wrong of any other.
    """
    try:
        exif, kept = image.getexif(), Image.Exif()
        kept.update({tag: exif[tag] for tag in (Base.Make, Base.Model) if tag in exif})
        if details := exif.get_ifd(IFD.Exif):
            kept[IFD.Exif] = dict(details)
        return kept.tobytes() if kept else b""
    except Exception:  # see _orientation
        return b""


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
    units = np.asarray(read_upright(path))
    if units.dtype.itemsize == 1 or units.ndim != 2:
        raise InputError(f"{path}: a depth image has 16 bits a pixel, and this one has {8 * units.itemsize}")
    return units


def _load(path: Path) -> Numbers:
    try:
        return np.asarray(np.load(path, allow_pickle=False), dtype=np.float64)
    except (OSError, ValueError, EOFError) as error:
        raise InputError(f"{path}: not a readable depth image ({error}); stage the sequence again") from error


def _require_size(path: Path, shape: tuple[int, ...], size: tuple[int, int]) -> None:
    if (shape[1], shape[0]) != size:
        raise InputError(
            f"{path} is {shape[1]}x{shape[0]}, and the sequence's images are {size[0]}x{size[1]}; "
            "one sequence is one camera with images of one size"
        )
