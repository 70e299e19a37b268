"""Which of a file's cameras took a sequence's images, and whether several files say the same of it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from slam.dataset.calibration.catalog import CameraFile
from slam.dataset.calibration.form import Calibration, Origin, scale
from slam.dataset.calibration.known import KnownCamera
from slam.dataset.camera import CALIBRATION, Intrinsics
from slam.errors import InputError

# Of the longer side. A fisheye that sees 220 degrees has a quarter of it; millimetres are a few hundredths.
_SHORTEST = 0.1


def agree(files: Sequence[CameraFile], folder: Path, size: tuple[int, int]) -> KnownCamera:
    """The camera that all files describe.

    Raises:
        InputError: they describe several.
    """
    found = [take(file, folder, size) for file in files]
    first = found[0]
    for other in found[1:]:
        if not is_same(first.intrinsics, other.intrinsics):
            raise InputError(
                f"two calibrations of different cameras: {first}, and {other}; keep that of these images, "
                f"or write {folder / CALIBRATION}, which goes before them"
            )
    return first


def is_same(one: Intrinsics | None, other: Intrinsics | None) -> bool:
    """Whether two cameras are the same, but for rounding."""
    if one is None or other is None or one.is_fisheye != other.is_fisheye:
        return one is other
    numbers = [(*(camera.fx, camera.fy, camera.cx, camera.cy), *camera.distortion) for camera in (one, other)]
    return len(numbers[0]) == len(numbers[1]) and all(
        math.isclose(first, second, rel_tol=1e-6, abs_tol=1e-6)
        for first, second in zip(*numbers, strict=True)
    )


def take(file: CameraFile, folder: Path, size: tuple[int, int]) -> KnownCamera:
    """The camera in a file that took the images of a folder, for their ``size`` (width, height).

    Raises:
        InputError: it is for other images, or there are several.
    """
    chosen, notes = _choose(file, folder, size)
    camera = chosen.camera
    if chosen.size is not None and chosen.size != size:
        camera = resize(camera, chosen.size, size, file.path)
        notes += (
            f"{file.path} is for images of {_by(chosen.size)}, and is scaled to the {_by(size)} of these",
        )
    if not (0 < camera.cx < size[0] and 0 < camera.cy < size[1]):
        raise InputError(
            f"{file.path}: the principal point ({camera.cx:g}, {camera.cy:g}) is outside the "
            f"{_by(size)} images; scale it to their size"
        )
    if min(camera.fx, camera.fy) < _SHORTEST * max(size):
        raise InputError(
            f"{file.path}: a focal length of {min(camera.fx, camera.fy):g} pixels is too short for "
            f"{_by(size)} images; write it in pixels, not in millimetres or in parts of the width"
        )
    label = f", {chosen.label}" if chosen.label else ""
    half = ", cx cy half a pixel more than there" if file.form.origin is Origin.MIDDLE else ""
    return KnownCamera(
        intrinsics=camera,
        path=file.path,
        source=f"{file.path} ({file.form.name}{label}{half})",
        notes=notes,
    )


def _by(size: tuple[int, int] | None) -> str:
    return f"{size[0]}x{size[1]}" if size else ""


def resize(camera: Intrinsics, old: tuple[int, int], new: tuple[int, int], path: Path) -> Intrinsics:
    """The camera of images resized from ``old`` to ``new`` (width, height); ``path`` is where it is from.

    Raises:
        InputError: they have another shape, and were cropped or turned.
    """
    # Sides are whole pixels, so that a ratio may be off by one.
    if abs(new[0] * old[1] - new[1] * old[0]) > max(*old, *new):
        raise InputError(
            f"{path}: its calibration is for images of {_by(old)}, and these are {_by(new)}, of another "
            "shape; calibrate for these, as a viewer shows them, or write a calib.txt"
        )
    return scale(camera, old, new)


def _choose(file: CameraFile, folder: Path, size: tuple[int, int]) -> tuple[Calibration, tuple[str, ...]]:
    """The camera of a folder's images: by the folder's name, by their size, or the first of a rig."""
    cameras = file.cameras
    for part in (name.lower() for name in reversed(folder.parts)):
        fitting = [one for one in cameras if part in one.folders]
        if fitting:
            return fitting[0], ()
    if all(is_same(cameras[0].camera, one.camera) for one in cameras):
        return cameras[0], ()
    fitting = [one for one in cameras if one.size == size]
    if len(fitting) == 1:
        return fitting[0], ()
    labels = ", ".join(one.label for one in cameras)
    if not cameras[0].folders:
        raise InputError(
            f"{file.path}: {len(cameras)} different cameras ({labels}), and one sequence is one camera; "
            "keep the line of these images' camera"
        )
    note = (
        f"{file.path} has {len(cameras)} cameras ({labels}), and {cameras[0].label} is taken; images of "
        f"another one belong in a folder called {' or '.join(cameras[1].folders)}"
    )
    return cameras[0], (note,)
