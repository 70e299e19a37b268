"""COLMAP's ``cameras.txt`` (https://colmap.github.io/format.html#cameras-txt)."""

from __future__ import annotations

import re

from slam.dataset.calibration.document import to_size
from slam.dataset.calibration.form import Calibration, Content, Form, Origin, make_camera
from slam.errors import InputError

# https://colmap.github.io/cameras.html: what each parameter is in OpenCV's models, and whether that is the
# fisheye one. Models that are not here are of another formula.
MODELS = {
    "SIMPLE_PINHOLE": ("f cx cy", False),
    "PINHOLE": ("fx fy cx cy", False),
    "SIMPLE_RADIAL": ("f cx cy k1", False),
    "RADIAL": ("f cx cy k1 k2", False),
    "OPENCV": ("fx fy cx cy k1 k2 p1 p2", False),
    "FULL_OPENCV": ("fx fy cx cy k1 k2 p1 p2 k3 k4 k5 k6", False),
    "SIMPLE_FISHEYE": ("f cx cy", True),
    "FISHEYE": ("fx fy cx cy", True),
    "SIMPLE_RADIAL_FISHEYE": ("f cx cy k1", True),
    "RADIAL_FISHEYE": ("f cx cy k1 k2", True),
    "OPENCV_FISHEYE": ("fx fy cx cy k1 k2 k3 k4", True),
}
_LINE = re.compile(r"\d+\s+([A-Z][A-Z_0-9]+)\s+\d+\s+\d+(\s+\S+)+")


def holds(content: Content) -> bool:
    """True for lines of ``id MODEL width height parameters``."""
    return content.table is None and bool(content.lines) and bool(_LINE.fullmatch(content.lines[0][1]))


def read(content: Content) -> tuple[Calibration, ...]:
    """The cameras of all lines.

    Raises:
        InputError: a line is laid out otherwise, or its model is not one of OpenCV's formulas.
    """
    return tuple(_read_line(line, f"{content.path}:{number}", content) for number, line in content.lines)


def _read_line(line: str, place: str, content: Content) -> Calibration:
    try:
        label, model, width, height, *words = line.split()
        size, values = to_size((int(width), int(height))), tuple(map(float, words))
    except ValueError as error:
        raise InputError(f"{place}: {line!r}; expected `CAMERA_ID MODEL WIDTH HEIGHT PARAMS…`") from error
    if model not in MODELS:
        raise InputError(
            f"{place}: the model {model} has another formula than OpenCV's pinhole and fisheye lenses; "
            f"calibrate with one of {', '.join(MODELS)}, or undistort the images (colmap image_undistorter)"
        )
    names, is_fisheye = MODELS[model]
    if len(values) != len(names.split()):
        raise InputError(f"{place}: {len(values)} parameters; {model} has {names}")
    if names.startswith("f "):
        values = (values[0], *values)
    camera = make_camera(content.path, values[:4], values[4:], is_fisheye=is_fisheye)
    return Calibration(camera=camera, size=size, label=label)


FORM = Form(
    name="COLMAP",
    files="`cameras.txt`",
    models=", ".join(f"`{model}`" for model in MODELS),
    refused="`FOV`, `THIN_PRISM_FISHEYE`, `DIVISION`, `EUCM` and others: another formula",
    origin=Origin.CORNER,
    holds=holds,
    read=read,
)
