"""KITTI's odometry benchmark: a car's grey and colour stereo pairs, rectified.

https://www.cvlibs.net/datasets/kitti/eval_odometry.php
"""

from __future__ import annotations

from pathlib import Path

from slam.dataset.calibration.catalog import read_content
from slam.dataset.calibration.kitti import read_projections
from slam.dataset.calibration.known import require_camera
from slam.dataset.calibration.search import find_camera
from slam.dataset.camera import CALIBRATION
from slam.dataset.files import list_files
from slam.dataset.frames import choose, make_sequence, seconds_of, survey
from slam.dataset.geometry import fit_usual_area
from slam.dataset.sequence import Choice, Frame, Sequence
from slam.errors import InputError
from slam.text import read_lines

# Each left camera with its right one. The poses are those of camera 0, so that its grey images come first.
PAIRS = (("image_0", "image_1"), ("image_2", "image_3"))
TIMES = "times.txt"


def holds(folder: Path) -> bool:
    """True where a folder is a sequence of this dataset."""
    return (folder / TIMES).is_file() and any((folder / left).is_dir() for left, _ in PAIRS)


def groundtruth_of(folder: Path) -> Path:
    """Where the poses of a sequence are: ``poses/NN.txt`` beside ``sequences/NN``."""
    return folder.parent.parent / "poses" / f"{folder.name}.txt"


def open_sequence(folder: Path, choice: Choice) -> Sequence:
    """The sequence in a folder: its grey images, or its colour images where it has only these.

    For DROID-SLAM they are brought to about 384 by 512 pixels in their own shape.

    Raises:
        InputError: a file is missing or not what it should be, or the choice cannot be had.
    """
    if choice.mode == "rgbd":
        raise InputError(f"{folder}: KITTI has no depth images; leave --depth out, or use --stereo")
    left, right = next(pair for pair in PAIRS if (folder / pair[0]).is_dir())
    every = _list_frames(folder, left, right if choice.mode == "stereo" else None)
    frames = choose(every, choice, stride=1, folder=folder)
    images = survey(frames, choice)
    # Its folder tells which of the four cameras in calib.txt it is.
    known = find_camera(folder, images.size, choice.top, rig=left)
    preparation = None
    if not choice.as_taken:
        preparation = fit_usual_area(require_camera(known, folder), images.size)
    return make_sequence(
        folder,
        frames,
        choice,
        images=images,
        known=known,
        left=preparation,
        right=preparation,
        notes=_describe_offset(folder, left),
        truth=groundtruth_of(folder),
        baseline_m=_baseline(folder, left, right) if choice.mode == "stereo" else None,
    )


def _list_frames(folder: Path, left: str, right: str | None) -> tuple[Frame, ...]:
    images = list_files(folder / left, ".png")
    lines = read_lines(folder / TIMES)
    if not images or len(lines) != len(images):
        raise InputError(
            f"{folder / TIMES}: {len(lines)} times, and {len(images)} images in {left}/; it has one line for "
            "each image, in seconds, so stage the sequence as it was published"
        )
    frames: list[Frame] = []
    for (number, stamp), image in zip(lines, images, strict=True):
        if not seconds_of(stamp) > (seconds_of(frames[-1].stamp) if frames else -1):
            raise InputError(f"{folder / TIMES}:{number}: {stamp!r} is no later time, in seconds")
        frames.append(Frame(stamp=stamp, image=image, right=folder / right / image.name if right else None))
    missing = next((frame.right for frame in frames if frame.right and not frame.right.is_file()), None)
    if missing:
        raise InputError(f"{missing} is missing; stage the sequence with {right}/, or leave --stereo out")
    return tuple(frames)


def _describe_offset(folder: Path, left: str) -> tuple[str, ...]:
    """A note where the ground truth is of another camera than the one that is read."""
    if left == PAIRS[0][0] or not groundtruth_of(folder).is_file() or not (folder / CALIBRATION).is_file():
        return ()
    offset = _baseline(folder, PAIRS[0][0], left)
    beside = f", {abs(offset):.3f} m beside it" if offset is not None else ""
    return (f"{folder / left} is read, and the ground truth is of the camera of {PAIRS[0][0]}{beside}",)


def _baseline(folder: Path, left: str, right: str) -> float | None:
    """The distance of two cameras in metres: P is K [I | t], and t is the camera's place, negated."""
    found = read_projections(read_content(folder / CALIBRATION))
    one, other = (found.get(int(name[-1])) for name in (left, right))
    return (one[3] - other[3]) / one[0] if one and other else None
