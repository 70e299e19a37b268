"""ETH3D SLAM (https://www.eth3d.net/slam_overview)."""

from __future__ import annotations

from pathlib import Path

from slam.dataset.calibration.known import require_camera
from slam.dataset.calibration.search import read_camera
from slam.dataset.files import list_files
from slam.dataset.frames import add_depth, choose, make_sequence, seconds_of, survey
from slam.dataset.geometry import fit_usual_area
from slam.dataset.sequence import Choice, Frame, Sequence
from slam.dataset.tum import FRAME_LIST, read_frames, require_no_stereo
from slam.errors import InputError

CALIBRATION = "calibration.txt"

SETTINGS = {
    "beta": 0.5,
    "filter_thresh": 2.0,
    "warmup": 8,
    "keyframe_thresh": 3.5,
    "frontend_thresh": 16.0,
    "frontend_window": 20,
    "frontend_radius": 2,
    "frontend_nms": 1,
    "backend_thresh": 22.0,
    "backend_radius": 2,
    "backend_nms": 3,
    "motion_damping": 0.5,
}


def holds(folder: Path) -> bool:
    """True where a folder is a sequence of this dataset."""
    return (folder / CALIBRATION).is_file() and (folder / "rgb").is_dir()


def open_sequence(folder: Path, choice: Choice) -> Sequence:
    """The sequence in a folder; its images are of about 384 by 512 pixels.

    Raises:
        InputError: a file is missing or not what it should be, or the choice cannot be had.
    """
    require_no_stereo(folder, choice)
    is_listed = (folder / FRAME_LIST).exists()
    every, notes = read_frames(folder, choice) if is_listed else (_list_frames(folder, choice), ())
    frames = choose(every, choice, stride=1, folder=folder)
    images = survey(frames, choice)
    known = read_camera(folder / CALIBRATION, images.size)
    return make_sequence(
        folder,
        frames,
        choice,
        images=images,
        known=known,
        notes=notes,
        left=fit_usual_area(require_camera(known, folder), images.size),
        settings=SETTINGS,
    )


def _list_frames(folder: Path, choice: Choice) -> tuple[Frame, ...]:
    """The images by their names, which are their times in seconds."""
    colour = _by_time(folder / "rgb")
    if choice.mode != "rgbd":
        return colour
    if not (folder / "depth").is_dir():
        raise InputError(
            f"{folder}: it has no depth/; leave --depth out, or stage the sequence's `_rgbd` archive as well"
        )
    return add_depth(colour, _by_time(folder / "depth"), folder)


def _by_time(folder: Path) -> tuple[Frame, ...]:
    frames = [Frame(stamp=path.stem, image=path) for path in list_files(folder, ".png")]
    odd = next((frame.image for frame in frames if not seconds_of(frame.stamp) >= 0), None)
    if odd is not None:
        raise InputError(f"{odd}: the name of an image is its time in seconds")
    if not frames:
        raise InputError(f"{folder}: there is no image; stage the sequence as it was published")
    return tuple(sorted(frames, key=lambda frame: seconds_of(frame.stamp)))
