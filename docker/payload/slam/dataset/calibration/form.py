"""What a format of calibration files has to say of itself, and what is read from such a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path

from slam.dataset.camera import HALF_PIXEL, Intrinsics
from slam.errors import InputError

# As long as OpenCV's rational model without its thin prism; a fisheye lens has four.
_MOST, _FISHEYE = 8, 4


class Origin(Enum):
    """What a format's ``cx cy`` count from, in words."""

    MIDDLE = "the middle of the first pixel"
    CORNER = "the image's corner"
    UNSAID = "not said"


@dataclass(frozen=True, kw_only=True)
class Content:
    """A calibration file: its lines, without comments, and what it holds where it is YAML, XML or JSON."""

    path: Path
    lines: tuple[tuple[int, str], ...] = ()
    table: Mapping[str, object] | None = None


@dataclass(frozen=True, kw_only=True)
class Calibration:
    """One of the cameras that a file describes.

    ``size`` is width and height of the images that it is for, where the file says so. ``label`` is what the
    file calls it, where it has several, and ``folders`` are names of folders that images of this camera of a
    rig are in.
    """

    camera: Intrinsics
    size: tuple[int, int] | None = None
    label: str = ""
    folders: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Form:
    """A format of calibration files.

    ``holds`` tells it by a file's content, and ``read`` gives the cameras in the file, of a rig the left one
    first, with the numbers that stand there. What ``cx cy`` count from is ``origin``. ``files``, ``models``
    and ``refused`` are for people: what such files are called, which camera models are read, and which not.
    """

    name: str
    files: str
    models: str
    origin: Origin
    holds: Callable[[Content], bool]
    read: Callable[[Content], tuple[Calibration, ...]]
    refused: str = ""


def make_camera(
    path: Path,
    pinhole: tuple[float, ...],
    distortion: tuple[float, ...] = (),
    *,
    is_fisheye: bool = False,
) -> Intrinsics:
    """A camera of ``fx fy cx cy`` and a distortion that may be longer or shorter than it has to be.

    Raises:
        InputError: a number is none, a focal length is not positive, or OpenCV's thin prism or tilt is used.
    """
    if len(pinhole) != 4 or not all(map(math.isfinite, (*pinhole, *distortion))):
        raise InputError(f"{path}: expected four numbers fx fy cx cy, and got {_shown(pinhole)}")
    fx, fy, cx, cy = pinhole
    if fx <= 0 or fy <= 0:
        raise InputError(f"{path}: the focal lengths {fx:g} and {fy:g} must be positive")
    most = _FISHEYE if is_fisheye else _MOST
    if any(distortion[most:]):
        raise InputError(
            f"{path}: {len(distortion)} distortion coefficients {_shown(distortion)}; those after the "
            f"{most}th are of a model that is not read; calibrate without it, or undistort the images"
        )
    return Intrinsics(
        fx=fx, fy=fy, cx=cx, cy=cy, distortion=_fit(distortion[:most], is_fisheye), is_fisheye=is_fisheye
    )


def _shown(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"


def _fit(distortion: tuple[float, ...], is_fisheye: bool) -> tuple[float, ...]:
    """As long as the smallest model that holds it."""
    if is_fisheye:
        return (*distortion, *(0.0,) * _FISHEYE)[:_FISHEYE]
    if not any(distortion):
        return ()
    # OpenCV's lengths; k4 to k6 come together.
    last = max(place for place, value in enumerate(distortion, 1) if value)
    length = next(length for length in (4, 5, 8) if last <= length)
    return (*distortion, *(0.0,) * length)[:length]


def place_origin(camera: Intrinsics, origin: Origin) -> Intrinsics:
    """A camera with the numbers of its file as one whose ``cx cy`` count from the image's corner."""
    if origin is Origin.UNSAID:
        return camera
    shift = HALF_PIXEL if origin is Origin.MIDDLE else 0.0
    return replace(camera, cx=camera.cx + shift, cy=camera.cy + shift, middle_px=HALF_PIXEL)


def scale(camera: Intrinsics, old: tuple[int, int], new: tuple[int, int]) -> Intrinsics:
    """The camera of images resized from ``old`` to ``new`` (width, height)."""
    across, down = new[0] / old[0], new[1] / old[1]
    return replace(
        camera, fx=camera.fx * across, fy=camera.fy * down, cx=camera.cx * across, cy=camera.cy * down
    )
