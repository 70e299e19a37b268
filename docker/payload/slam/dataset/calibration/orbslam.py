"""Settings of ORB-SLAM2 and ORB-SLAM3 (https://github.com/UZ-SLAMLab/ORB_SLAM3, Calibration_Tutorial.pdf)."""

from __future__ import annotations

from slam.dataset.calibration.document import read_matrix, read_numbers, read_size
from slam.dataset.calibration.form import Calibration, Content, Form, Origin, make_camera
from slam.errors import InputError

_PINHOLE = ("fx", "fy", "cx", "cy")
# ORB-SLAM2 names no type.
_TYPES = {
    "": ("k1", "k2", "p1", "p2", "k3"),
    "pinhole": ("k1", "k2", "p1", "p2", "k3"),
    "rectified": (),
    "kannalabrandt8": ("k1", "k2", "k3", "k4"),
}
_FISHEYE = "kannalabrandt8"
# A camera's keys, those of the matrices for pairs that the program rectifies, and folders of its images.
_CAMERAS = (
    ("Camera", "LEFT", ("cam0", "left", "image_0")),
    ("Camera1", "LEFT", ("cam0", "left", "image_0")),
    ("Camera2", "RIGHT", ("cam1", "right", "image_1")),
)


def holds(content: Content) -> bool:
    """True where there is ``Camera.fx``, ``Camera1.fx`` or ``LEFT.K``."""
    return any(key in (content.table or {}) for key in ("Camera.fx", "Camera1.fx", "LEFT.K"))


def read(content: Content) -> tuple[Calibration, ...]:
    """The camera, or the two of a pair.

    Where there are ``LEFT.K`` and ``LEFT.D``, images on disk are those of this camera, and ``Camera.fx`` is
    what they become by rectification.

    Raises:
        InputError: numbers are missing, or the camera's type is not known.
    """
    table = content.table or {}
    size = read_size(table, "Camera.width", "Camera.height")
    kind = str(table.get("Camera.type") or "").lower()
    if kind not in _TYPES:
        raise InputError(
            f"{content.path}: Camera.type {table['Camera.type']!r} is not known; expected PinHole, "
            "Rectified or KannalaBrandt8"
        )
    if "LEFT.K" in table:
        sides = [(side, folders) for _, side, folders in _CAMERAS[1:] if f"{side}.K" in table]
        return tuple(_read_side(content, side, kind, folders) for side, folders in sides)
    found = [(name, folders) for name, _, folders in _CAMERAS if f"{name}.fx" in table]
    several = len(found) > 1
    return tuple(
        Calibration(
            camera=make_camera(
                content.path,
                tuple(read_numbers(table, f"{name}.{key}", content.path)[0] for key in _PINHOLE),
                _distortion(content, name, kind),
                is_fisheye=kind == _FISHEYE,
            ),
            size=size,
            label=name if several else "",
            folders=folders if several else (),
        )
        for name, folders in found
    )


def _distortion(content: Content, name: str, kind: str) -> tuple[float, ...]:
    keys = (f"{name}.{key}" for key in _TYPES[kind])
    numbers = (read_numbers(content.table or {}, key, content.path, is_optional=True) for key in keys)
    return tuple(found[0] if found else 0.0 for found in numbers)


def _read_side(content: Content, side: str, kind: str, folders: tuple[str, ...]) -> Calibration:
    table = content.table or {}
    matrix = read_numbers(table, f"{side}.K", content.path)
    return Calibration(
        camera=make_camera(
            content.path,
            read_matrix(matrix, f"{content.path}: {side}.K"),
            read_numbers(table, f"{side}.D", content.path, is_optional=True),
            is_fisheye=kind == _FISHEYE,
        ),
        size=read_size(table, f"{side}.width", f"{side}.height"),
        label=side,
        folders=folders,
    )


FORM = Form(
    name="ORB-SLAM",
    files="`*.yaml` with `Camera.fx`, `Camera1.fx` or `LEFT.K`",
    models="`PinHole`, `Rectified`, `KannalaBrandt8`",
    origin=Origin.MIDDLE,
    holds=holds,
    read=read,
)
