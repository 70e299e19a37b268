"""Any folder of images with a ``calib.txt``."""

from __future__ import annotations

from pathlib import Path

from slam.dataset.picture import fit_usual_area
from slam.dataset.sequence import GROUND_TRUTH, Units, list_images, read_camera
from slam.dataset.shot import Choice, Frames, Shot, choose, common_size, make_stream
from slam.dataset.stream import Stream
from slam.dataset.tum import require_no_stereo
from slam.errors import InputError


def holds(folder: Path) -> bool:
    """True where there are images in a folder, or in ``images/`` in it."""
    try:
        return bool(list_images(folder))
    except InputError:
        return False


def open_stream(folder: Path, choice: Choice) -> Stream:
    """The images of a folder in name order; a timestamp is the image's place in it, from 0.

    They are undistorted and brought to about 384 by 512 pixels.

    Raises:
        InputError: the images or the calibration are missing or not what they should be.
    """
    require_no_stereo(folder, choice)
    if choice.mode == "rgbd":
        raise InputError(
            f"{folder}: which depth belongs to which image is not known in a plain folder; lay it out as TUM "
            "does, with rgb.txt and depth.txt, or leave --depth out"
        )
    every = tuple(Shot(stamp=one.stamp, image=one.path) for one in list_images(folder))
    shots = choose(every, choice, stride=1, folder=folder)
    size = common_size(shots)
    preparation = fit_usual_area(read_camera(folder, size), size)
    return make_stream(
        folder,
        Frames(shots=shots, left=preparation),
        choice,
        truth=GROUND_TRUTH,
        units=Units(length="units", time="place in name order"),
    )
