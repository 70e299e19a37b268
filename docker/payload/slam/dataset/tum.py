"""TUM RGB-D, and folders of one's own laid out like it (https://cvg.cit.tum.de/data/datasets/rgbd-dataset)."""

from __future__ import annotations

import os
from contextlib import nullcontext
from decimal import Decimal
from pathlib import Path

from slam.dataset.calibration.fit import resize
from slam.dataset.calibration.known import KnownCamera, require_camera
from slam.dataset.calibration.search import find_camera, published
from slam.dataset.camera import CALIBRATION, Intrinsics, tum_intrinsics
from slam.dataset.fault import Faults
from slam.dataset.files import exists
from slam.dataset.frames import add_depth, choose, make_sequence, survey
from slam.dataset.geometry import Preparation, fit_usual_area
from slam.dataset.sequence import SECONDS, Choice, Frame, Sequence
from slam.errors import InputError
from slam.posefile.clock import find_clock, to_seconds
from slam.posefile.order import Row, drop_empty, drop_repeated, tidy
from slam.text import read_lines

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
    every, notes = read_frames(folder, choice)
    frames = choose(every, choice, stride=STRIDE if is_benchmark else 1, folder=folder)
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
        notes=notes,
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


def read_frames(folder: Path, choice: Choice) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """What ``rgb.txt`` lists, with what ``depth.txt`` lists where depth is asked for; and notes on the lists.

    Raises:
        InputError: a list is missing or malformed, or nothing in them belongs together.
    """
    colour, notes = read_frame_list(folder, strict=choice.is_strict, faults=choice.faults)
    if choice.mode != "rgbd":
        return colour, notes
    if not (folder / DEPTH_LIST).exists():
        raise InputError(
            f"{folder}: it has no {DEPTH_LIST}, so there are no depth images; leave --depth out, or stage "
            "the sequence with its depth"
        )
    depth, others = read_frame_list(folder, DEPTH_LIST, strict=choice.is_strict, faults=choice.faults)
    return add_depth(colour, depth, folder), (*notes, *others)


def read_frame_list(
    folder: Path, name: str = FRAME_LIST, *, strict: bool = False, faults: Faults | None = None
) -> tuple[tuple[Frame, ...], tuple[str, ...]]:
    """The images that a list in a TUM folder names, in the order of time, ``timestamp filename`` a line.

    Of several at one moment the first is taken, and of several rows
    with one file. Notes say what was left out or moved, and where timestamps are no seconds. A line
    that is wrong is left out where ``faults`` is told of it. https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats

    Raises:
        InputError: the list or an image in it is missing, or ``strict`` and something would be left out.
    """
    path = folder / name
    if not exists(path):
        raise InputError(f"{path} is missing; it holds `timestamp filename` for each image in {path.stem}/")
    images: dict[int, Path] = {}
    rows: list[Row] = []
    for number, line in read_lines(path):
        with faults.noted() if faults else nullcontext():
            stamp, images[number] = _parse_line(line, folder, f"{path}:{number}")
            rows.append(Row(number=number, stamp=stamp, values=()))
    if not rows:
        raise InputError(
            f"{path}: no image in it; it holds `timestamp filename` for each image in {path.stem}/"
        )
    found, lost = drop_empty(rows, str(path), strict=strict)
    ordered, moved = tidy(found, str(path), strict=strict)
    kept, repeated = drop_repeated(ordered, images, str(path), strict=strict)
    clock = find_clock([Decimal(row.stamp) for row in kept])
    frames = tuple(Frame(stamp=to_seconds(row.stamp, clock), image=images[row.number]) for row in kept)
    units = f"{path}: {kept[0].stamp} is too large for seconds, and is taken for {frames[0].stamp} s"
    return frames, (*lost, *moved, *repeated, *((units,) if clock.digits else ()))


def _parse_line(line: str, folder: Path, place: str) -> tuple[str, Path]:
    stamp, *name = line.split(maxsplit=1)
    try:
        float(stamp)
    except ValueError as error:
        raise InputError(f"{place}: {line!r}; expected `timestamp filename`") from error
    if not name:
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
    return stamp, path
