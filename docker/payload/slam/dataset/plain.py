"""Any folder of images with a ``calib.txt``."""

from __future__ import annotations

from pathlib import Path

from slam.dataset.camera import CALIBRATION, read_camera
from slam.dataset.files import SUFFIXES, exists, list_folder
from slam.dataset.frames import choose, make_sequence, survey
from slam.dataset.geometry import fit_usual_area
from slam.dataset.sequence import PLACES, Choice, Frame, Sequence
from slam.dataset.tum import require_no_stereo
from slam.errors import InputError


def holds(folder: Path) -> bool:
    """True where there are images in a folder, or in ``images/`` in it."""
    try:
        return bool(list_images(folder))
    except InputError:
        return False


def open_sequence(folder: Path, choice: Choice) -> Sequence:
    """The images of a folder in name order; a timestamp is the image's place in it, from 0.

    For DROID-SLAM they are undistorted and brought to about 384 by 512 pixels. COLMAP can do without a
    ``calib.txt``.

    Raises:
        InputError: the images or the calibration are missing or not what they should be.
    """
    require_no_stereo(folder, choice)
    if choice.mode == "rgbd":
        raise InputError(
            f"{folder}: which depth belongs to which image is not known in a plain folder; lay it out as TUM "
            "does, with rgb.txt and depth.txt, or leave --depth out"
        )
    frames = choose(list_images(folder), choice, stride=1, folder=folder)
    images = survey(frames, choice)
    is_known = exists(folder / CALIBRATION) or not choice.as_taken
    camera = read_camera(folder, images.size) if is_known else None
    return make_sequence(
        folder,
        frames,
        choice,
        images=images,
        camera=camera,
        left=fit_usual_area(camera, images.size) if camera else None,
        units=PLACES,
        is_video=False,
    )


def list_images(folder: Path) -> tuple[Frame, ...]:
    """The images in ``images/`` or in the folder itself, in name order; their places are their timestamps.

    Raises:
        InputError: there are none.
    """
    inner = folder / "images"
    place = inner if inner.is_dir() else folder
    there = list_folder(place)
    paths = [path for path in there if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")]
    if not there:
        raise InputError(f"{place}: it is empty; stage a folder with images in it")
    if not paths:
        folders = [path.name for path in there if path.is_dir()][:20]
        hint = f"choose one of its folders with --sequence: {', '.join(folders)}"
        raise InputError(
            f"{place}: no images ({', '.join(sorted(SUFFIXES))}) in it; "
            + (hint if folders else "stage a folder with images in it")
        )
    return tuple(Frame(stamp=f"{place:.1f}", image=path) for place, path in enumerate(paths))
