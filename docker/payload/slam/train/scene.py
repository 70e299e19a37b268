"""A recording to train on: images, depths, poses and the camera, as they lie on disk.

Two layouts are known. ``tartanair`` is TartanAir's own: any folder with ``image_left/*.png``,
``depth_left/*.npy`` and ``pose_left.txt``. ``footage`` is a user's own: any folder with ``images/``,
``depths/``, ``poses.txt`` and ``calib.txt``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from slam.dataset.calibration.line import read_calibration
from slam.dataset.camera import CALIBRATION, Intrinsics
from slam.dataset.files import SUFFIXES, list_folder, sort_images
from slam.errors import InputError
from slam.posefile.format import TUM
from slam.posefile.posefile import read_posefile
from slam.text import read_lines

Floats = npt.NDArray[np.float64]

DEPTH_SCALE = "depth_scale.txt"
# Upstream divides TartanAir's metres by it, "to balance rot & trans".
TARTANAIR_METRES = 5.0
# TartanAir's camera, https://github.com/castacks/tartanair_tools/blob/master/data_type.md, 640x480.
TARTANAIR_CAMERA = Intrinsics(fx=320.0, fy=320.0, cx=320.0, cy=240.0)
TARTANAIR_SIZE = (640, 480)
# Its axes are north, east, down, and its camera looks along x; here right, down, ahead along z.
_TARTANAIR_ORDER = [1, 2, 0, 4, 5, 3, 6]
_DEPTH_SUFFIXES = frozenset({".npy", ".png"})


@dataclass(frozen=True, kw_only=True)
class Scene:
    """One recording: frame i is ``images[i]``, ``depths[i]`` and ``poses[i]``.

    ``poses`` [n, 7] are camera to world, ``tx ty tz qx qy qz qw``, in units of ``metres`` metres, and so are
    depths once they are divided by ``depth_divisor``. ``size`` is the only one allowed, width and height in
    pixels, or ``None``.
    """

    name: str
    folder: Path
    images: tuple[Path, ...]
    depths: tuple[Path, ...]
    poses: Floats
    intrinsics: Intrinsics
    depth_divisor: float
    metres: float = 1.0
    size: tuple[int, int] | None = None

    def __len__(self) -> int:
        return len(self.images)

    @property
    def camera(self) -> Floats:
        """``fx fy cx cy`` in pixels."""
        return np.array([getattr(self.intrinsics, name) for name in ("fx", "fy", "cx", "cy")])


def read_scene(folder: Path, kind: str, name: str, depth_scale: float | None) -> Scene:
    """Read one scene.

    Args:
        folder: where it lies.
        kind: its layout, ``tartanair`` or ``footage``.
        name: what it is called.
        depth_scale: what a 16-bit depth of one metre is, where the scene does not say it.

    Raises:
        InputError: a file is missing or malformed, or they do not belong together.
    """
    if kind == "tartanair":
        return _read_tartanair(folder, name)
    return _read_footage(folder, name, depth_scale)


def _read_tartanair(folder: Path, name: str) -> Scene:
    images = _list(folder / "image_left", SUFFIXES)
    depths = _list(folder / "depth_left", frozenset({".npy"}))
    _pair(images, depths, folder, suffix="_depth")
    path = folder / "pose_left.txt"
    rows = [_numbers(path, number, line) for number, line in _lines(path)]
    _require_count(path, len(rows), images)
    poses = np.array(rows)[:, _TARTANAIR_ORDER]
    poses[:, :3] /= TARTANAIR_METRES
    own = folder / CALIBRATION
    return Scene(
        name=name,
        folder=folder,
        images=images,
        depths=depths,
        poses=normalize(poses),
        intrinsics=_read_pinhole(own) if own.exists() else TARTANAIR_CAMERA,
        depth_divisor=TARTANAIR_METRES,
        metres=TARTANAIR_METRES,
        size=None if own.exists() else TARTANAIR_SIZE,
    )


def _read_footage(folder: Path, name: str, depth_scale: float | None) -> Scene:
    images = _list(folder / "images", SUFFIXES)
    depths = _list(folder / "depths", _DEPTH_SUFFIXES)
    _pair(images, depths, folder)
    path = folder / "poses.txt"
    trajectory = read_posefile(path, strict=True, only=TUM).trajectory
    _require_count(path, len(trajectory), images)
    return Scene(
        name=name,
        folder=folder,
        images=images,
        depths=depths,
        poses=normalize(np.hstack([trajectory.positions, trajectory.quaternions])),
        intrinsics=_read_pinhole(folder / CALIBRATION),
        depth_divisor=1.0 if depths[0].suffix == ".npy" else _find_depth_scale(folder, depth_scale),
    )


def normalize(poses: Floats) -> Floats:
    """Poses [n, 7] with quaternions of length 1."""
    norms = np.linalg.norm(poses[:, 3:], axis=1, keepdims=True)
    return np.hstack([poses[:, :3], poses[:, 3:] / norms])


def _numbers(path: Path, number: int, line: str) -> list[float]:
    expected = "expected `tx ty tz qx qy qz qw` with a quaternion of length 1"
    try:
        values = [float(word) for word in line.split()]
    except ValueError as error:
        raise InputError(f"{path}:{number}: {error}; {expected}") from error
    if len(values) != 7 or not np.all(np.isfinite(values)) or abs(np.linalg.norm(values[3:]) - 1) > 0.05:
        raise InputError(f"{path}:{number}: {line!r}; {expected}")
    return values


def _lines(path: Path) -> list[tuple[int, str]]:
    if not path.exists():
        raise InputError(f"{path} is missing; it holds a pose for each image")
    return read_lines(path)


def _list(folder: Path, suffixes: frozenset[str]) -> tuple[Path, ...]:
    if not folder.is_dir():
        raise InputError(f"{folder} is missing; docs/droid-slam.md, Training, says what a scene consists of")
    there = list_folder(folder)
    paths = sort_images(
        path for path in there if path.suffix.lower() in suffixes and not path.name.startswith(".")
    )
    if not paths:
        raise InputError(f"{folder}: no file in it ends in {', '.join(sorted(suffixes))}")
    kinds = sorted({path.suffix.lower() for path in paths} & _DEPTH_SUFFIXES)
    if suffixes == _DEPTH_SUFFIXES and len(kinds) > 1:
        raise InputError(f"{folder}: depths are either .png or .npy; both are there")
    return paths


def _pair(images: tuple[Path, ...], depths: tuple[Path, ...], folder: Path, suffix: str = "") -> None:
    """Images and depths belong together by name, or by their order where no name is in both folders."""
    if len(images) != len(depths):
        raise InputError(
            f"{folder}: {len(images)} images in {images[0].parent.name}/ and {len(depths)} depths in "
            f"{depths[0].parent.name}/; each image needs its depth"
        )
    left = [path.stem for path in images]
    right = [path.stem.removesuffix(suffix) for path in depths]
    if set(left) & set(right) and left != right:
        alone = next(name for name, other in zip(left, right, strict=True) if name != other)
        raise InputError(
            f"{folder}: there is no depth that is named as the image {alone!r} is; name them alike"
        )


def _require_count(path: Path, count: int, images: tuple[Path, ...]) -> None:
    if count != len(images):
        raise InputError(
            f"{path}: {count} poses, but {len(images)} images in {images[0].parent.name}/; it holds one line "
            "for each image, in the order of their names"
        )


def _read_pinhole(path: Path) -> Intrinsics:
    if not path.exists():
        raise InputError(f"{path} is missing; it holds `fx fy cx cy` in pixels")
    intrinsics = read_calibration(path)
    if intrinsics.distortion:
        raise InputError(
            f"{path}: the lens distorts, and training takes images and depths as they are; undistort both, "
            "and keep `fx fy cx cy` alone"
        )
    return intrinsics


def _find_depth_scale(folder: Path, given: float | None) -> float:
    for path in (folder / DEPTH_SCALE, folder.parent / DEPTH_SCALE):
        if path.exists():
            lines = read_lines(path)
            try:
                scale = float(lines[0][1]) if len(lines) == 1 else float("nan")
            except ValueError:
                scale = float("nan")
            if not 0 < scale < float("inf"):
                raise InputError(
                    f"{path}: expected one positive number, what a depth of one metre is in the files"
                )
            return scale
    if given is None:
        raise InputError(
            f"{folder / 'depths'}: the unit of its 16-bit depths is not known; write what one metre is (1000 "
            f"for millimetres, 5000 for TUM RGB-D) to {folder / DEPTH_SCALE}, or give it by --depth-scale"
        )
    return given
