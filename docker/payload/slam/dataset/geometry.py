"""Images undistorted, resized and cropped as DROID-SLAM's own scripts do it, by OpenCV."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from slam.dataset.camera import Intrinsics
from slam.dataset.sequence import Bytes, Metres, Numbers

Pixels = npt.NDArray[Any]

# What the network was trained on; images of other shapes are brought to as many pixels.
USUAL_AREA = 384 * 512
# The network works on an eighth of the size.
MULTIPLE = 8


@dataclass(frozen=True, kw_only=True)
class Rectification:
    """What turns one camera of a stereo pair so that both look the same way, and the camera it becomes."""

    rotation: tuple[float, ...]
    camera: Intrinsics


@dataclass(frozen=True, kw_only=True)
class Preparation:
    """The way from an image as it was taken, ``size`` (width, height), to one that the network takes.

    It is rectified or undistorted, resized to ``resized`` (width, height), and loses ``margin`` (left, top,
    right, bottom) pixels at its edges. ``camera`` is that of the image as it was taken.
    """

    camera: Intrinsics
    size: tuple[int, int]
    resized: tuple[int, int]
    margin: tuple[int, int, int, int] = (0, 0, 0, 0)
    rectification: Rectification | None = None

    @property
    def width(self) -> int:
        """Of the prepared image, in pixels."""
        return self.resized[0] - self.margin[0] - self.margin[2]

    @property
    def height(self) -> int:
        """Of the prepared image, in pixels."""
        return self.resized[1] - self.margin[1] - self.margin[3]

    @property
    def intrinsics(self) -> Numbers:
        """``fx fy cx cy`` [4] of the prepared image, in its pixels, scaled as DROID-SLAM's scripts do it."""
        camera = self.rectification.camera if self.rectification else self.camera
        across, down = self.resized[0] / self.size[0], self.resized[1] / self.size[1]
        left, top, *_ = self.margin
        return np.array(
            [camera.fx * across, camera.fy * down, camera.cx * across - left, camera.cy * down - top]
        )

    def image(self, pixels: Bytes) -> Bytes:
        """From blue, green, red [h, w, 3] to [3, H, W]."""
        cv2 = _opencv()

        if self.rectification is not None or self.camera.is_fisheye:
            pixels = cv2.remap(pixels, *_maps(self), interpolation=cv2.INTER_LINEAR)
        elif self.camera.distortion:
            pixels = cv2.undistort(pixels, _matrix(self.camera), np.array(self.camera.distortion))
        resized = np.asarray(cv2.resize(pixels, self.resized), dtype=np.uint8)
        return np.ascontiguousarray(self._crop(resized).transpose(2, 0, 1))

    def depth(self, metres: Metres) -> Metres:
        """From [h, w] to [H, W]. No two depths are mixed: between them there may be nothing."""
        if self.rectification is not None or self.camera.distortion:
            cv2 = _opencv()

            metres = cv2.remap(metres, *_maps(self), interpolation=cv2.INTER_NEAREST)
        rows = _nearest(self.size[1], self.resized[1])
        columns = _nearest(self.size[0], self.resized[0])
        return np.ascontiguousarray(self._crop(metres[rows][:, columns]))

    def _crop(self, pixels: Pixels) -> Pixels:
        left, top, *_ = self.margin
        cropped: Pixels = pixels[top : top + self.height, left : left + self.width]
        return cropped


def fit_usual_area(camera: Intrinsics, size: tuple[int, int]) -> Preparation:
    """Bring images of ``size`` (width, height) to about 384 by 512 pixels, with sides that 8 divides."""
    width, height = size
    scale = np.sqrt(USUAL_AREA / (height * width))
    across, down = int(width * scale), int(height * scale)
    return Preparation(
        camera=camera,
        size=size,
        resized=(across, down),
        margin=(0, 0, across % MULTIPLE, down % MULTIPLE),
    )


def bound(preparation: Preparation, longest: int | None) -> Preparation:
    """Make prepared images smaller, so that their longer side is at most ``longest`` pixels."""
    scale = longest / max(preparation.width, preparation.height) if longest else 1.0
    if scale >= 1:
        return preparation
    across, down = (int(side * scale) for side in preparation.resized)
    left, top, right, bottom = (int(side * scale) for side in preparation.margin)
    right += (across - left - right) % MULTIPLE
    bottom += (down - top - bottom) % MULTIPLE
    return replace(preparation, resized=(across, down), margin=(left, top, right, bottom))


def _opencv() -> Any:
    """Whether it is there to be looked at or not, type checkers take it for anything."""
    import cv2

    return cv2


def _nearest(old: int, new: int) -> Pixels:
    """The places [new] in a row of ``old`` pixels that a new row is made of, as PyTorch's ``nearest``."""
    scale = np.float32(old) / np.float32(new)
    places: Pixels = np.minimum((np.arange(new, dtype=np.float32) * scale).astype(int), old - 1)
    return places


def _matrix(camera: Intrinsics) -> Numbers:
    """The camera in OpenCV's pixels [3, 3]."""
    cx, cy = camera.cx - camera.middle_px, camera.cy - camera.middle_px
    return np.array([[camera.fx, 0, cx], [0, camera.fy, cy], [0, 0, 1]])


@cache
def _maps(preparation: Preparation) -> tuple[Metres, Metres]:
    """Where each pixel of the corrected image comes from: x and y [h, w].

    What a fisheye lens sees becomes a pinhole's image of the same focal length: the middle of the image keeps
    its size, and what is too far aside for it is cut off.
    """
    cv2 = _opencv()

    camera, rectification = preparation.camera, preparation.rectification
    model = cv2.fisheye if camera.is_fisheye else cv2
    first, second = model.initUndistortRectifyMap(
        _matrix(camera),
        np.array(camera.distortion or (0.0,) * 4),
        np.array(rectification.rotation).reshape(3, 3) if rectification else np.eye(3),
        _matrix(rectification.camera if rectification else camera),
        preparation.size,
        cv2.CV_32FC1,
    )
    return first, second
