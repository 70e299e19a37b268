"""What OpenCV's calibration writes by ``cv::FileStorage``, and ROS's camera calibrator.

https://docs.opencv.org/4.x/d4/d94/tutorial_camera_calibration.html
https://wiki.ros.org/camera_calibration_parsers
"""

from __future__ import annotations

from collections.abc import Mapping

from slam.dataset.calibration.document import read_matrix, read_numbers, read_size, to_numbers
from slam.dataset.calibration.form import Calibration, Content, Form, Origin, make_camera
from slam.errors import InputError

# A matrix and its distortion as OpenCV's samples and tutorials call them; of pairs also M1, D1 and M2, D2.
_NAMES = (
    ("camera_matrix", "distortion_coefficients"),
    ("Camera_Matrix", "Distortion_Coefficients"),
    ("cameraMatrix", "distCoeffs"),
    ("camera_matrix", "dist_coeffs"),
    ("camera_matrix", "dist_coeff"),
    ("camera_matrix", "distortion"),
    ("mtx", "dist"),
    ("K", "D"),
)
_PAIR = (("M1", "D1", ("cam0", "left")), ("M2", "D2", ("cam1", "right")))
_SIZES = (("image_width", "image_height"), ("image_Width", "image_Height"), ("width", "height"))
# ROS: https://docs.ros.org/en/api/sensor_msgs/html/msg/CameraInfo.html
_MODELS = {
    "plumb_bob": False,
    "rational_polynomial": False,
    "radial-tangential": False,
    "radtan": False,
    "none": False,
    "equidistant": True,
    "fisheye": True,
}


def holds(content: Content) -> bool:
    """True where there is a matrix of one of the names above."""
    table = content.table or {}
    names = {matrix for matrix, *_ in (*_NAMES, *_PAIR)}
    return any(len(to_numbers(table.get(name)) or ()) == 9 for name in names)


def read(content: Content) -> tuple[Calibration, ...]:
    """The camera, or the two of a pair.

    Raises:
        InputError: a matrix is none, or the distortion's model is not known.
    """
    table = content.table or {}
    pair = [(matrix, bent, folders) for matrix, bent, folders in _PAIR if matrix in table]
    if pair:
        return tuple(_read(content, matrix, bent, matrix, folders) for matrix, bent, folders in pair)
    # A name whose distortion is there, too, goes before one whose is not.
    there = [names for names in _NAMES if names[0] in table]
    matrix, bent = next((names for names in there if names[1] in table), there[0])
    return (_read(content, matrix, bent),)


def _read(
    content: Content, matrix: str, bent: str, label: str = "", folders: tuple[str, ...] = ()
) -> Calibration:
    table = content.table or {}
    pinhole = read_matrix(read_numbers(table, matrix, content.path), f"{content.path}: {matrix}")
    sizes = (read_size(table, *names) for names in _SIZES)
    return Calibration(
        camera=make_camera(
            content.path,
            pinhole,
            read_numbers(table, bent, content.path, is_optional=True),
            is_fisheye=_is_fisheye(table, content),
        ),
        size=next((size for size in sizes if size), None),
        label=label,
        folders=folders,
    )


def _is_fisheye(table: Mapping[str, object], content: Content) -> bool:
    """By OpenCV's flag, or ROS's name of the model."""
    flag = to_numbers(table.get("fisheye_model"))
    model = str(table.get("distortion_model") or "none").lower()
    if model not in _MODELS:
        raise InputError(
            f"{content.path}: the distortion model {model!r} is not known; expected one of "
            f"{', '.join(_MODELS)}"
        )
    return bool(flag and flag[0]) or _MODELS[model]


FORM = Form(
    name="OpenCV",
    files="`*.yml`, `*.yaml`, `*.xml`, `*.json` with `camera_matrix` or the like; ROS's `ost.yaml`",
    models="4, 5 or 8 coefficients; `fisheye_model: 1`, and ROS's `equidistant`",
    refused="thin prism and tilt (12 and 14 coefficients)",
    origin=Origin.MIDDLE,
    holds=holds,
    read=read,
)
