"""Pinhole cameras with lens distortion, and where their numbers come from."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path

from slam.dataset.files import exists, list_folder
from slam.errors import InputError
from slam.text import read_lines

CALIBRATION = "calib.txt"
# What calibrations of other programs are called.
_CAMERA_FILE = re.compile(
    r"(calib|calibration|cameras?|camchain.*|cam[0-9]*|intrinsics?|camera_intrinsics|sensor|transforms)"
    r"\.(ya?ml|json|xml|txt|toml|ini)",
    re.IGNORECASE,
)
HALF_PIXEL = 0.5
# Parts of an image's width and height; lenses are centred to a few hundredths.
_MOST_OFF_MIDDLE = 0.1
EXPECTED = "expected `fx fy cx cy`, then nothing, `k1 k2 p1 p2`, `… k3` or `… k3 k4 k5 k6`, in pixels"


@dataclass(frozen=True, kw_only=True)
class Intrinsics:
    """A camera of OpenCV's pinhole or fisheye model.

    ``fx fy cx cy`` are in pixels. The image's upper left corner is (0, 0), so the middle of the first pixel
    is (0.5, 0.5), as in COLMAP; OpenCV's own ``cx cy`` are half a pixel less. ``distortion`` has no units. It
    is ``k1 k2 p1 p2 [k3 [k4 k5 k6]]`` or empty, and ``k1 k2 k3 k4`` of a fisheye lens.
    https://docs.opencv.org/4.x/d9/d0c/group__calib3d.html
    https://docs.opencv.org/4.x/db/d58/group__calib3d__fisheye.html

    ``middle_px`` is what is taken from ``cx cy`` for OpenCV: 0.5, or 0 where nothing says what a
    calibration's numbers count from. Those go to OpenCV as they stand, as DROID-SLAM's scripts have it.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, ...] = ()
    is_fisheye: bool = False
    middle_px: float = 0.0


def opencv_camera(
    *,
    fx: float,
    fy: float,
    cx: float,
    cy: float,
    distortion: tuple[float, ...] = (),
    is_fisheye: bool = False,
) -> Intrinsics:
    """A camera whose ``cx cy`` are OpenCV's: the middle of the first pixel is (0, 0)."""
    return Intrinsics(
        fx=fx,
        fy=fy,
        cx=cx + HALF_PIXEL,
        cy=cy + HALF_PIXEL,
        distortion=distortion,
        is_fisheye=is_fisheye,
        middle_px=HALF_PIXEL,
    )


# https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats#intrinsic_camera_calibration_of_the_kinect
# (the colour cameras; those of freiburg3 are already undistorted). Its cx, cy may be OpenCV's; half a pixel
# is less than these calibrations are good for, so the published numbers stand.
TUM_CAMERAS = {
    "freiburg1": Intrinsics(
        fx=517.3, fy=516.5, cx=318.6, cy=255.3, distortion=(0.2624, -0.9531, -0.0054, 0.0026, 1.1633)
    ),
    "freiburg2": Intrinsics(
        fx=520.9, fy=521.0, cx=325.1, cy=249.7, distortion=(0.2312, -0.7849, -0.0033, -0.0001, 0.9172)
    ),
    "freiburg3": Intrinsics(fx=535.4, fy=539.2, cx=320.1, cy=247.6),
}


def camera_model(intrinsics: Intrinsics) -> tuple[str, list[float]]:
    """COLMAP's name for the smallest model that holds these intrinsics, and its parameters.

    https://colmap.github.io/cameras.html
    """
    pinhole = [intrinsics.fx, intrinsics.fy, intrinsics.cx, intrinsics.cy]
    distortion = list(intrinsics.distortion)
    if intrinsics.is_fisheye:
        return "OPENCV_FISHEYE", pinhole + distortion
    if not distortion:
        return "PINHOLE", pinhole
    if len(distortion) == 4:
        return "OPENCV", pinhole + distortion
    return "FULL_OPENCV", pinhole + distortion + [0.0] * (8 - len(distortion))


def tum_intrinsics(name: str) -> Intrinsics | None:
    """The published camera of a TUM RGB-D sequence whose name holds ``freiburg1`` or ``fr1`` and so on."""
    for camera, intrinsics in TUM_CAMERAS.items():
        words = name.lower().replace("-", "_").split("_")
        if camera in words or camera.replace("eiburg", "") in words:
            return intrinsics
    return None


def read_calibration(path: Path) -> Intrinsics:
    """Read a ``calib.txt``: one line of numbers, ``#`` comments and empty lines aside.

    Raises:
        InputError: the file cannot be read or does not hold one such line, or a focal length is not positive.
    """
    lines = read_lines(path)
    if len(lines) != 1:
        raise InputError(f"{path}: {len(lines)} lines of numbers; {EXPECTED} on one line")
    number, line = lines[0]
    try:
        values = [float(word) for word in line.split()]
    except ValueError as error:
        raise InputError(f"{path}:{number}: {error}; {EXPECTED}") from error
    if len(values) not in (4, 8, 9, 12) or not all(map(math.isfinite, values)):
        raise InputError(f"{path}:{number}: {len(values)} numbers in {line!r}; {EXPECTED}")
    fx, fy, cx, cy, *distortion = values
    if fx <= 0 or fy <= 0:
        raise InputError(f"{path}:{number}: the focal lengths {fx:g} and {fy:g} must be positive")
    return Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, distortion=tuple(distortion) if any(distortion) else ())


def describe_middle(camera: Intrinsics, size: tuple[int, int]) -> tuple[str, ...]:
    """A note where the principal point is far from the middle of images of ``size`` (width, height)."""
    width, height = size
    if max(abs(camera.cx / width - 0.5), abs(camera.cy / height - 0.5)) <= _MOST_OFF_MIDDLE:
        return ()
    other = max(abs(camera.cx / height - 0.5), abs(camera.cy / width - 0.5)) <= _MOST_OFF_MIDDLE
    likely = f"; it looks like one for {height}x{width} images, those of the camera turned" if other else ""
    note = (
        f"the principal point ({camera.cx:g}, {camera.cy:g}) is far from the middle of the {width}x{height} "
        f"images{likely}; the calibration has to be for the images as a viewer shows them"
    )
    return (note,)


def find_unread(folder: Path, top: Path | None, camera_file: str | None) -> tuple[Path, ...]:
    """Files that may say what a sequence's camera is, and are not read.

    They lie in its folder, in ``images/`` in it and, where its folder has no ``calib.txt``, as ``calib.txt``
    in the folders above it up to ``top``, its dataset's. ``camera_file`` is the name of the one that is read.
    """
    places = [place for place in (folder, folder / "images") if place.is_dir()]
    there = [path for place in places for path in list_folder(place)]
    beside = [path for path in there if _CAMERA_FILE.fullmatch(path.name) and path.is_file()]
    above = []
    if top is not None and top in folder.parents and not exists(folder / CALIBRATION):
        between = folder.parents[: folder.parents.index(top) + 1]
        above = [parent / CALIBRATION for parent in between if exists(parent / CALIBRATION)]
    return tuple(path for path in (*beside, *above) if path != folder / (camera_file or ""))


def describe_unread(folder: Path, top: Path | None, camera_file: str | None) -> tuple[str, ...]:
    """A note where there are files that may say what the camera is, and are not read."""
    unread = find_unread(folder, top, camera_file)
    if not unread:
        return ()
    used = (
        f"a camera is read from {folder / camera_file} only" if camera_file else "the published one is used"
    )
    return (f"seen and not read: {', '.join(map(str, unread))}; {used}",)


def read_camera(
    folder: Path, size: tuple[int, int], *, else_by: str = "", top: Path | None = None
) -> Intrinsics:
    """The camera that a folder's ``calib.txt`` describes, for images of ``size`` (width, height) in pixels.

    ``else_by`` is how else the camera could be known, and ``top`` the dataset's folder, for the message.

    Raises:
        InputError: the file is missing, malformed or for images of another size.
    """
    path = folder / CALIBRATION
    if not exists(path):
        unread = ", ".join(map(str, find_unread(folder, top, CALIBRATION)))
        raise InputError(
            f"{folder}: the camera is unknown; write `fx fy cx cy [k1 k2 p1 p2 [k3]]` to {path}{else_by}"
            + (f"; seen and not read: {unread}" if unread else "")
        )
    intrinsics = read_calibration(path)
    if not (0 < intrinsics.cx < size[0] and 0 < intrinsics.cy < size[1]):
        raise InputError(
            f"{path}: the principal point ({intrinsics.cx:g}, {intrinsics.cy:g}) is outside the "
            f"{size[0]}x{size[1]} images; scale it to their size"
        )
    return intrinsics
