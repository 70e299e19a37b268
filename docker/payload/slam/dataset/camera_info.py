"""The camera that ROS messages describe.

http://docs.ros.org/en/noetic/api/sensor_msgs/html/msg/CameraInfo.html
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

from slam.dataset.calibration.fit import resize
from slam.dataset.calibration.form import Origin, make_camera, place_origin
from slam.dataset.calibration.known import KnownCamera
from slam.dataset.camera import Intrinsics
from slam.errors import InputError

CAMERA_INFO = "sensor_msgs/msg/CameraInfo"
_PINHOLE, _FISHEYE = ("plumb_bob", "rational_polynomial", ""), ("equidistant", "fisheye")
# As a word: there are topics that are called `direct` and `unrectified`, too.
_RECTIFIED = re.compile(r"(?<![A-Za-z])rect(ified)?(?![a-z])")


def find_info(topic: str, infos: tuple[str, ...]) -> str | None:
    """Of some topics with CameraInfo the one that is published with images: in their namespace or above."""
    parts = topic.split("/")
    names = ("/".join((*parts[:length], "camera_info")) for length in range(len(parts) - 1, 0, -1))
    return next((name for name in names if name in infos), None)


def read_info(message: Any, topic: str, size: tuple[int, int], source: str) -> KnownCamera:
    """The camera of the images of a topic, which have a ``size`` (width, height) in pixels.

    One that does not fit them, or is of a model that is not read, is noted and not used.

    Args:
        message: the CameraInfo.
        topic: that of the images: rectified ones are those of the matrix P.
        size: of the images.
        source: where the message is from, in words.
    """
    rectified = any(_RECTIFIED.search(part) for part in topic.split("/")[-2:])
    k, d, p = (_numbers(message, name) for name in ("k", "d", "p"))
    if not (p if rectified else k)[0]:
        return KnownCamera()  # not calibrated, the message's own documentation says
    model = message.distortion_model
    if not rectified and model not in (*_PINHOLE, *_FISHEYE):
        return KnownCamera(notes=(f"{source} is not used: this model of distortion is not read",))
    pinhole, bent = ((p[0], p[5], p[2], p[6]), ()) if rectified else ((k[0], k[4], k[2], k[5]), d)
    path = Path(source)
    try:
        camera = make_camera(path, pinhole, bent, is_fisheye=not rectified and model in _FISHEYE)
        camera, notes = _fit(place_origin(camera, Origin.MIDDLE), message, size, source)
    except InputError as error:
        return KnownCamera(notes=(f"not used: {error}",))
    return KnownCamera(intrinsics=camera, source=source, notes=notes)


def _fit(
    camera: Intrinsics, message: Any, size: tuple[int, int], source: str
) -> tuple[Intrinsics, tuple[str, ...]]:
    """The camera of the sensor's part that is sent, as large as the images are.

    Raises:
        InputError: they have another shape.
    """
    full, part = (int(message.width), int(message.height)), message.roi
    if part.width and part.height:
        camera = replace(camera, cx=camera.cx - part.x_offset, cy=camera.cy - part.y_offset)
        full = (int(part.width), int(part.height))
    if full == size or not all(full):
        return camera, ()
    note = f"{source} is for images of {full[0]}x{full[1]}, and is scaled to the {size[0]}x{size[1]} of these"
    return resize(camera, full, size, Path(source)), (note,)


def _numbers(message: Any, name: str) -> tuple[float, ...]:
    """A field of CameraInfo: ROS 1 writes it large, ROS 2 small."""
    values = getattr(message, name) if hasattr(message, name) else getattr(message, name.upper())
    return tuple(map(float, values))
