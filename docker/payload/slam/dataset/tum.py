"""TUM RGB-D, and folders of one's own laid out like it (https://cvg.cit.tum.de/data/datasets/rgbd-dataset)."""

from __future__ import annotations

import math
import os
from pathlib import Path

from slam.dataset.calibration.fit import resize
from slam.dataset.calibration.known import KnownCamera, require_camera
from slam.dataset.calibration.search import find_camera, published
from slam.dataset.camera import CALIBRATION, Intrinsics, tum_intrinsics
from slam.dataset.files import exists
from slam.dataset.frames import add_depth, choose, make_sequence, survey
from slam.dataset.geometry import Preparation, fit_usual_area
from slam.dataset.sequence import SECONDS, Choice, Frame, Sequence
from slam.errors import InputError
from slam.text import read_lines, to_seconds

FRAME_LIST = "rgb.txt"
DEPTH_LIST = "depth.txt"
SIZE = (640, 480)
# Larger than what the network takes, so that the edges, bent by undistortion, can go.
RESIZED = (320 + 32, 240 + 16)
MARGIN = (16, 8, 16, 8)
STRIDE = 2
_BY_NAME = ", or keep freiburg1, freiburg2 or freiburg3 in the folder's name"

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
    return exists(folder / FRAME_LIST) or exists(folder / "rgb")


def open_sequence(folder: Path, choice: Choice) -> Sequence:
    """The sequence in a folder.

    For DROID-SLAM the benchmark's own, known by ``freiburg1`` to ``3`` in their names, are read as its
    evaluation reads them: every second image, undistorted, 320 by 240 pixels. One with a calibration is
    somebody's own: all its images, undistorted, of about 384 by 512 pixels.

    Raises:
        InputError: a file is missing or not what it should be, or the choice cannot be had.
    """
    require_no_stereo(folder, choice)
    is_benchmark = not exists(folder / CALIBRATION) and _published_camera(folder) is not None
    frames = choose(read_frames(folder, choice), choice, stride=STRIDE if is_benchmark else 1, folder=folder)
    images = survey(frames, choice)
    camera = _published_camera(folder) if is_benchmark else None
    if camera is not None:
        known = published(resize(camera, SIZE, images.size, folder), "TUM RGB-D", (folder,))
    else:
        known = find_camera(folder, images.size, choice.top)
    return make_sequence(
        folder,
        frames,
        choice,
        images=images,
        known=known,
        notes=describe_times(folder),
        left=None if choice.as_taken else _prepare(known, images.size, folder, is_benchmark=is_benchmark),
        units=SECONDS,
        settings=SETTINGS if is_benchmark else {},
    )


def _prepare(known: KnownCamera, size: tuple[int, int], folder: Path, *, is_benchmark: bool) -> Preparation:
    camera = require_camera(known, folder, _BY_NAME)
    if is_benchmark and size == SIZE:
        return Preparation(camera=camera, size=size, resized=RESIZED, margin=MARGIN)
    return fit_usual_area(camera, size)


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


def read_frames(folder: Path, choice: Choice) -> tuple[Frame, ...]:
    """What ``rgb.txt`` lists, with what ``depth.txt`` lists where depth is asked for.

    Raises:
        InputError: a list is missing or malformed, or nothing in them belongs together.
    """
    colour = read_frame_list(folder)
    if choice.mode != "rgbd":
        return colour
    if not (folder / DEPTH_LIST).exists():
        raise InputError(
            f"{folder}: it has no {DEPTH_LIST}, so there are no depth images; leave --depth out, or stage "
            "the sequence with its depth"
        )
    return add_depth(colour, read_frame_list(folder, DEPTH_LIST), folder)


def read_frame_list(folder: Path, name: str = FRAME_LIST) -> tuple[Frame, ...]:
    """The images that a list in a TUM folder names, in its order: ``timestamp filename`` on each line.

    https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats

    Raises:
        InputError: the list or an image in it is missing, or its timestamps are not in order.
    """
    path = folder / name
    if not exists(path):
        raise InputError(f"{path} is missing; it holds `timestamp filename` for each image in {path.stem}/")
    frames: list[Frame] = []
    for number, line in read_lines(path):
        frame = _parse_frame(line, folder, f"{path}:{number}")
        if frames and float(frame.stamp) <= float(frames[-1].stamp):
            raise InputError(
                f"{path}:{number}: {frame.stamp} is not after {frames[-1].stamp}; sort the lines by their "
                "timestamps, and keep one for each"
            )
        frames.append(frame)
    if not frames:
        raise InputError(
            f"{path}: no image in it; it holds `timestamp filename` for each image in {path.stem}/"
        )
    return tuple(frames)


def describe_times(folder: Path) -> tuple[str, ...]:
    """A note where the timestamps of ``rgb.txt`` are no seconds."""
    stamp = next((line.split()[0] for _, line in read_lines(folder / FRAME_LIST)), "")
    seconds = to_seconds(stamp)
    if seconds == stamp:
        return ()
    return (f"{folder / FRAME_LIST}: {stamp} is too large for seconds, and is taken for {seconds} s",)


def _parse_frame(line: str, folder: Path, place: str) -> Frame:
    stamp, *name = line.split(maxsplit=1)
    stamp = to_seconds(stamp)
    try:
        seconds = float(stamp)
    except ValueError:
        seconds = math.nan
    if not math.isfinite(seconds) or not name:
        raise InputError(f"{place}: {line!r}; expected `timestamp filename`")
    path = folder / name[0]
    inner = Path(os.path.normpath(name[0]))
    if inner.is_absolute() or inner.parts[:1] == ("..",):
        raise InputError(
            f"{place}: {name[0]} is outside of {folder}; a list names the sequence's own images, by their "
            "paths in its folder"
        )
    if not exists(path):
        raise InputError(
            f"{place}: the image {path} does not exist; stage all of {folder.name}, or correct the list"
        )
    return Frame(stamp=stamp, image=path)
