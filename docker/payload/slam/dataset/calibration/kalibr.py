"""Kalibr's camchains (https://github.com/ethz-asl/kalibr/wiki/yaml-formats), and EuRoC's ``sensor.yaml``.

A camchain has a part for each camera, ``cam0``, ``cam1`` and so on; a ``sensor.yaml`` is one such part with
other words for the distortion.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from slam.dataset.calibration.document import read_numbers, to_numbers, to_size
from slam.dataset.calibration.form import Calibration, Content, Form, Origin, make_camera
from slam.errors import InputError

_CAMERA = re.compile(r"cam(\d+)")
# What the distortion's model is called, and whether it is that of a fisheye lens.
_DISTORTIONS = {
    "radtan": False,
    "radial-tangential": False,
    "plumb_bob": False,
    "none": False,
    "": False,
    "equidistant": True,
    "equi": True,
    "kannala-brandt": True,
}
_SIDES = ("left", "right")


def holds(content: Content) -> bool:
    """True where there are parts ``cam0`` and so on, each with ``intrinsics``."""
    return bool(_parts(content))


def holds_sensor(content: Content) -> bool:
    """True where there are ``camera_model`` and ``intrinsics``."""
    return _is_camera(content.table)


def read(content: Content) -> tuple[Calibration, ...]:
    """All cameras of a camchain.

    Raises:
        InputError: one is not a pinhole, or is bent in a way that is not read.
    """
    return tuple(_read_part(part, content.path, name) for name, part in _parts(content).items())


def read_sensor(content: Content) -> tuple[Calibration, ...]:
    """The camera of a ``sensor.yaml``.

    Raises:
        InputError: it is not a pinhole, or is bent in a way that is not read.
    """
    return (_read_part(content.table or {}, content.path),)


def _parts(content: Content) -> dict[str, Mapping[str, object]]:
    table = content.table or {}
    found = {name: part for name, part in table.items() if _CAMERA.fullmatch(str(name)) and _is_camera(part)}
    return {name: part for name, part in sorted(found.items()) if isinstance(part, Mapping)}


def _is_camera(part: object) -> bool:
    return isinstance(part, Mapping) and "camera_model" in part and "intrinsics" in part


def _read_part(part: Mapping[str, object], path: Path, name: str = "") -> Calibration:
    model, bent = str(part["camera_model"]).lower(), str(part.get("distortion_model") or "").lower()
    where = f"{path}: {name}: " if name else f"{path}: "
    if model != "pinhole" or bent not in _DISTORTIONS:
        raise InputError(
            f"{where}the model {model} with the distortion {bent or 'none'} has another formula than "
            "OpenCV's lenses; calibrate as pinhole with radtan or equidistant, or undistort the images"
        )
    key = "distortion_coeffs" if "distortion_coeffs" in part else "distortion_coefficients"
    distortion = read_numbers(part, key, path, is_optional=True)
    return Calibration(
        camera=make_camera(
            path, read_numbers(part, "intrinsics", path), distortion, is_fisheye=_DISTORTIONS[bent]
        ),
        size=to_size(to_numbers(part.get("resolution"))),
        label=name,
        folders=_folders(name),
    )


def _folders(name: str) -> tuple[str, ...]:
    match = _CAMERA.fullmatch(name)
    number = int(match[1]) if match else len(_SIDES)
    return (name, *_SIDES[number : number + 1]) if name else ()


_MODELS = "pinhole with `radtan` (or none), or with `equidistant`"
_REFUSED = "`omni`, `ds`, `eucm`, and the distortion `fov`: another formula"
FORM = Form(
    name="Kalibr",
    files="`*camchain*.yaml`",
    models=_MODELS,
    refused=_REFUSED,
    origin=Origin.MIDDLE,
    holds=holds,
    read=read,
)
SENSOR = Form(
    name="EuRoC sensor",
    files="`mav0/cam0/sensor.yaml`",
    models="pinhole with `radial-tangential`, or with `equidistant`",
    refused=_REFUSED,
    origin=Origin.MIDDLE,
    holds=holds_sensor,
    read=read_sensor,
)
