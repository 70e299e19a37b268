"""TUM RGB-D, and folders of one's own laid out like it (https://cvg.cit.tum.de/data/datasets/rgbd-dataset)."""

from __future__ import annotations

from pathlib import Path

from slam.dataset.camera import CALIBRATION, Intrinsics, tum_intrinsics
from slam.dataset.picture import Preparation, fit_usual_area
from slam.dataset.sequence import GROUND_TRUTH, Units, is_tum, read_camera, read_frame_list
from slam.dataset.shot import Choice, Frames, Shot, add_depth, choose, common_size, make_stream
from slam.dataset.stream import Stream
from slam.errors import InputError

DEPTH_LIST = "depth.txt"
SIZE = (640, 480)
# Larger than what the network takes, so that the edges, bent by undistortion, can go.
RESIZED = (320 + 32, 240 + 16)
MARGIN = (16, 8, 16, 8)
STRIDE = 2

SETTINGS = {
    "beta": 0.3,
    "filter_thresh": 1.5,
    "warmup": 12,
    "keyframe_thresh": 2.0,
    "frontend_thresh": 12.0,
    "frontend_window": 25,
    "frontend_radius": 2,
    "frontend_nms": 1,
    "backend_thresh": 20.0,
    "backend_radius": 2,
    "backend_nms": 3,
    "motion_damping": 0.5,
}


def holds(folder: Path) -> bool:
    """True where a folder is laid out as this dataset's sequences are."""
    return is_tum(folder)


def open_stream(folder: Path, choice: Choice) -> Stream:
    """The sequence in a folder.

    The benchmark's own, known by ``freiburg1`` to ``3`` in their names, are read as DROID-SLAM's evaluation
    reads them: every second image, undistorted, 320 by 240 pixels. One with a ``calib.txt`` is somebody's
    own: all its images, undistorted, of about 384 by 512 pixels.

    Raises:
        InputError: a file is missing or not what it should be, or the choice cannot be had.
    """
    require_no_stereo(folder, choice)
    published = None if (folder / CALIBRATION).exists() else _published_camera(folder)
    shots = choose(read_shots(folder, choice), choice, stride=STRIDE if published else 1, folder=folder)
    size = common_size(shots)
    if published and size == SIZE:
        preparation = Preparation(camera=published, size=size, resized=RESIZED, margin=MARGIN)
    else:
        preparation = fit_usual_area(published or read_camera(folder, size), size)
    return make_stream(
        folder,
        Frames(shots=shots, left=preparation),
        choice,
        truth=GROUND_TRUTH,
        units=Units(length="m", time="s"),
        settings=SETTINGS if published else {},
    )


def _published_camera(folder: Path) -> Intrinsics | None:
    """By the sequence's name, or that of the folder it is in (``fr1/xyz``)."""
    place = folder.resolve()
    return tum_intrinsics(place.name) or tum_intrinsics(place.parent.name)


def require_no_stereo(folder: Path, choice: Choice) -> None:
    """Make sure that no stereo pairs are asked for where one camera was.

    Raises:
        InputError: they are.
    """
    if choice.mode == "stereo":
        raise InputError(
            f"{folder}: it has the images of one camera; leave --stereo out (euroc and tartanair have two)"
        )


def read_shots(folder: Path, choice: Choice) -> tuple[Shot, ...]:
    """What ``rgb.txt`` lists, with what ``depth.txt`` lists where depth is asked for.

    Raises:
        InputError: a list is missing or malformed, or nothing in them belongs together.
    """
    colour = tuple(Shot(stamp=one.stamp, image=one.path) for one in read_frame_list(folder))
    if choice.mode != "rgbd":
        return colour
    if not (folder / DEPTH_LIST).exists():
        raise InputError(
            f"{folder}: it has no {DEPTH_LIST}, so there are no depth images; leave --depth out, or stage "
            "the sequence with its depth"
        )
    listed = read_frame_list(folder, DEPTH_LIST)
    depth = tuple(Shot(stamp=one.stamp, image=one.path) for one in listed)
    return add_depth(colour, depth, folder)
