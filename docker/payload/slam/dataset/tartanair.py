"""TartanAir: a simulated drone's stereo pair, with depth (https://theairlab.org/tartanair-dataset)."""

from __future__ import annotations

from pathlib import Path

from slam.dataset.calibration.search import published
from slam.dataset.camera import Intrinsics
from slam.dataset.files import describe_order, list_files
from slam.dataset.frames import choose, make_sequence, require_size, survey
from slam.dataset.geometry import Preparation
from slam.dataset.sequence import Choice, Frame, Sequence, Units
from slam.errors import InputError

IMAGES = "image_left"
OTHER_IMAGES = "image_right"
DEPTHS = "depth_left"
GROUND_TRUTH = "pose_left.txt"
SIZE = (640, 480)
RESIZED = (512, 384)
CAMERA = Intrinsics(fx=320.0, fy=320.0, cx=320.0, cy=240.0)
BASELINE_M = 0.25

SETTINGS = {
    "beta": 0.3,
    "filter_thresh": 2.4,
    "warmup": 12,
    "keyframe_thresh": 3.5,
    "frontend_thresh": 15.0,
    "frontend_window": 20,
    "frontend_radius": 1,
    "frontend_nms": 1,
    "backend_thresh": 20.0,
    "backend_radius": 2,
    "backend_nms": 3,
}


def holds(folder: Path) -> bool:
    """True where a folder is a sequence of this dataset."""
    return (folder / IMAGES).is_dir()


def open_sequence(folder: Path, choice: Choice) -> Sequence:
    """The sequence in a folder. A timestamp is the image's place in name order, from 0.

    Raises:
        InputError: a file is missing or not what it should be, or the choice cannot be had.
    """
    lefts = list_files(folder / IMAGES, ".png")
    if not lefts:
        raise InputError(f"{folder / IMAGES}: there is no image; stage the sequence as it was published")
    rights = _partners(folder / OTHER_IMAGES, ".png", lefts) if choice.mode == "stereo" else None
    depths = _partners(folder / DEPTHS, ".npy", lefts) if choice.mode == "rgbd" else None
    every = tuple(
        Frame(
            stamp=f"{place:.1f}",
            image=image,
            right=rights[place] if rights else None,
            depth=depths[place] if depths else None,
        )
        for place, image in enumerate(lefts)
    )
    frames = choose(every, choice, stride=1, folder=folder)
    images = survey(frames, choice)
    require_size(folder, "TartanAir", images.size, SIZE)
    preparation = Preparation(camera=CAMERA, size=SIZE, resized=RESIZED)
    return make_sequence(
        folder,
        frames,
        choice,
        images=images,
        known=published(CAMERA, "TartanAir", (folder,)),
        notes=describe_order(lefts),
        left=preparation,
        right=preparation,
        truth=GROUND_TRUTH,
        units=Units(length="m", time="place in name order"),
        settings=SETTINGS,
        baseline_m=BASELINE_M,
    )


def _partners(folder: Path, suffix: str, images: tuple[Path, ...]) -> tuple[Path, ...]:
    """What belongs to each image: the files' names begin with the same number."""
    there = {path.name.split("_")[0]: path for path in list_files(folder, suffix)}
    missing = [image.name for image in images if image.name.split("_")[0] not in there]
    if missing:
        option = "--stereo" if suffix == ".png" else "--depth"
        raise InputError(
            f"{folder}: nothing for {missing[0]} ({len(missing)} of {len(images)} images have none); stage "
            f"the sequence with {folder.name}/, or leave {option} out"
        )
    return tuple(there[image.name.split("_")[0]] for image in images)
