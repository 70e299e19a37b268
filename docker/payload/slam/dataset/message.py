"""The images in ROS messages.

http://docs.ros.org/en/noetic/api/sensor_msgs/html/msg/Image.html
"""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, UnidentifiedImageError

from slam.dataset.sequence import Bytes, Numbers, ValueRange
from slam.dataset.value import scale_values
from slam.errors import InputError

COMPRESSED = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = ("sensor_msgs/msg/Image", COMPRESSED)
# How many values a pixel has, and where blue, green and red are among them.
_CHANNELS = {
    "mono8": (1, (0, 0, 0)),
    "8uc1": (1, (0, 0, 0)),
    "bgr8": (3, (0, 1, 2)),
    "8uc3": (3, (0, 1, 2)),
    "rgb8": (3, (2, 1, 0)),
    "bgra8": (4, (0, 1, 2)),
    "rgba8": (4, (2, 1, 0)),
}
_DEEP = ("mono16", "16uc1")
# The colours of a sensor's upper left 2x2 pixels, row by row.
_BAYER = {f"bayer_{colours}8": colours for colours in ("rggb", "bggr", "gbrg", "grbg")}
_GREEN = np.array([[0, 1, 0], [1, 4, 1], [0, 1, 0]]) / 4
_OTHERS = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]]) / 4


def size_of(message: Any, where: str) -> tuple[int, int]:
    """Width and height of the image in a message.

    Raises:
        InputError: it is no image that is read here.
    """
    if hasattr(message, "encoding"):
        return int(message.width), int(message.height)
    return _open(message, where).size


def is_deep(message: Any) -> bool:
    """Whether an image is grey with 16 bits."""
    return getattr(message, "encoding", "").lower() in _DEEP


def decode_deep(message: Any, where: str) -> npt.NDArray[np.uint16]:
    """The values [h, w] of an image with 16 bits.

    Raises:
        InputError: it has too few bytes.
    """
    kind = np.dtype(np.uint16).newbyteorder(">" if message.is_bigendian else "<")
    values: npt.NDArray[np.uint16] = _rows(message, 1, kind, where)[:, :, 0]
    return values


def decode(message: Any, where: str, values: ValueRange | None = None) -> Bytes:
    """The image in a message: uint8 [h, w, 3], blue, green, red. ``where`` it is from is for errors.

    ``values`` are those that become 0 and 255, of images with 16 bits.

    Raises:
        InputError: it is no image that is read here.
    """
    if not hasattr(message, "encoding"):
        try:
            return np.ascontiguousarray(np.asarray(_open(message, where).convert("RGB"))[:, :, ::-1])
        except OSError as error:
            raise InputError(f"{where}: a compressed image is broken ({error})") from error
    encoding = message.encoding.lower()
    if encoding in _DEEP:
        return np.repeat(scale_values(decode_deep(message, where), values)[:, :, None], 3, axis=2)
    if encoding in _BAYER:
        return interpolate(_rows(message, 1, np.uint8, where)[:, :, 0], _BAYER[encoding])
    if encoding not in _CHANNELS:
        known = ", ".join(name for name in (*_CHANNELS, *_DEEP, *_BAYER))
        raise InputError(f"{where}: images in {message.encoding!r} are not read, but {known}; convert them")
    count, order = _CHANNELS[encoding]
    return np.ascontiguousarray(_rows(message, count, np.uint8, where)[:, :, order])


def _open(message: Any, where: str) -> Image.Image:
    try:
        return Image.open(io.BytesIO(bytes(message.data)))
    except (UnidentifiedImageError, OSError) as error:
        raise InputError(
            f"{where}: a compressed image ({message.format}) is of a format that is not read"
        ) from error


def _rows(message: Any, count: int, kind: npt.DTypeLike, where: str) -> npt.NDArray[Any]:
    """The values [h, w, count]; rows may be longer than the image."""
    width = message.width * count * np.dtype(kind).itemsize
    data = np.frombuffer(bytes(message.data), np.uint8)
    if message.step < width or len(data) < message.step * message.height:
        raise InputError(
            f"{where}: an image has fewer bytes than its {message.width}x{message.height} pixels"
        )
    rows = data[: message.step * message.height].reshape(message.height, message.step)[:, :width]
    return np.ascontiguousarray(rows).view(kind).reshape(message.height, message.width, count)


def interpolate(raw: Bytes, colours: str) -> Bytes:
    """The image [h, w, 3] of a sensor's values [h, w], each missing colour the mean of its neighbours."""
    from scipy.ndimage import convolve

    planes = []
    for colour, kernel in (("b", _OTHERS), ("g", _GREEN), ("r", _OTHERS)):
        known = np.zeros(raw.shape)
        for place in (place for place, one in enumerate(colours) if one == colour):
            there = (slice(place // 2, None, 2), slice(place % 2, None, 2))
            known[there] = raw[there]
        planes.append(convolve(known, kernel, mode="mirror"))
    values: Numbers = np.stack(planes, axis=2)
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
