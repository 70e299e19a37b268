"""Any folder of images, with a calibration or without."""

from __future__ import annotations

from pathlib import Path

from slam.dataset.calibration.known import require_camera
from slam.dataset.calibration.search import find_camera
from slam.dataset.files import SUFFIXES, describe_order, list_folder, sort_images
from slam.dataset.frames import choose, make_sequence, survey
from slam.dataset.geometry import fit_usual_area
from slam.dataset.sequence import PLACES, Choice, Frame, Sequence
from slam.dataset.tum import require_no_stereo
from slam.errors import InputError

_PHOTOS = frozenset({".arw", ".cr2", ".cr3", ".dng", ".gif", ".jxl", ".nef"})


def holds(folder: Path) -> bool:
    """True where there are images in a folder, or in ``images/`` in it."""
    try:
        return bool(list_images(folder))
    except InputError:
        return False


def open_sequence(folder: Path, choice: Choice) -> Sequence:
    """The images of a folder in the order of the numbers in their names.

    A timestamp is the image's place in this order, from 0.

    For DROID-SLAM they are undistorted and brought to about 384 by 512 pixels. COLMAP can do without a
    calibration.

    Raises:
        InputError: the images or the calibration are missing or not what they should be.
    """
    require_no_stereo(folder, choice)
    if choice.mode == "rgbd":
        raise InputError(
            f"{folder}: which depth belongs to which image is not known in a plain folder; lay it out as TUM "
            "does, with rgb.txt and depth.txt, or leave --depth out"
        )
    every = list_images(folder)
    frames = choose(every, choice, stride=1, folder=folder)
    images = survey(frames, choice)
    known = find_camera(folder, images.size, choice.top)
    return make_sequence(
        folder,
        frames,
        choice,
        images=images,
        known=known,
        notes=describe_order(tuple(frame.image for frame in every)),
        left=None if choice.as_taken else fit_usual_area(require_camera(known, folder), images.size),
        units=PLACES,
        is_video=False,
    )


def list_images(folder: Path) -> tuple[Frame, ...]:
    """The images in ``images/`` or in the folder itself, by the numbers in their names.

    Their places in this order are their timestamps.

    Raises:
        InputError: there are none.
    """
    inner = folder / "images"
    place = inner if inner.is_dir() else folder
    there = list_folder(place)
    visible = [path for path in there if not path.name.startswith(".")]
    paths = sort_images(path for path in visible if path.suffix.lower() in SUFFIXES)
    if not there:
        raise InputError(f"{place}: it is empty; stage a folder with images in it")
    if not paths:
        raise InputError(
            f"{place}: no images ({', '.join(sorted(SUFFIXES))}) in it{_describe_others(visible)}"
        )
    return tuple(Frame(stamp=f"{place:.1f}", image=path) for place, path in enumerate(paths))


def _describe_others(there: list[Path]) -> str:
    """What is there in the place of images, and what to do about it."""
    bags = [path.name for path in there if path.suffix == ".db3"]
    if bags:
        return f", but {bags[0]}; stage the whole folder of the ROS 2 bag, with its metadata.yaml"
    photos = [path.name for path in there if path.suffix.lower() in _PHOTOS and path.is_file()]
    if photos:
        more = f" and {len(photos) - 1} more" if len(photos) > 1 else ""
        return (
            f", but photos of another format: {photos[0]}{more}; convert them to JPEG or PNG, and stage those"
        )
    folders = [path.name for path in there if path.is_dir()][:20]
    if folders:
        there_too = ", ".join(folders)
        return f", and no sequence in its folders ({there_too}); stage the folder that has the images"
    return "; stage a folder with images in it"
