"""The files of a sequence: which belong to one moment, which of them are taken, and frames made of them."""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slam.dataset.picture import Preparation, bound, read_color, read_depth, size_of_image
from slam.dataset.sequence import FEWEST_FRAMES, Units, list_folder
from slam.dataset.stream import Frame, Mode, Stream
from slam.errors import InputError

# As the benchmark's own associate.py; a Kinect's two cameras take turns at 30 Hz.
DEPTH_DIFFERENCE_S = 0.02
# https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats#color_images_and_depth_maps
DEPTH_UNITS_PER_METRE = 5000.0


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which frames of a sequence to take, and what of them.

    Every ``stride``-th (``None``: as the dataset is usually read), from the ``t0``-th of these on, and at
    most ``max_frames``. No prepared image is longer than ``max_image_size`` pixels.
    """

    mode: Mode = "mono"
    stride: int | None = None
    t0: int = 0
    max_frames: int | None = None
    max_image_size: int | None = None


@dataclass(frozen=True, kw_only=True)
class Shot:
    """The files of one moment, and its timestamp as it goes to a trajectory file."""

    stamp: str
    image: Path
    right: Path | None = None
    depth: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Frames:
    """Frames that are read and prepared when they are asked for, as often as they are."""

    shots: tuple[Shot, ...]
    left: Preparation
    right: Preparation | None = None
    units_per_metre: float = DEPTH_UNITS_PER_METRE

    def __len__(self) -> int:
        return len(self.shots)

    def __iter__(self) -> Iterator[Frame]:
        for index, shot in enumerate(self.shots):
            frame = Frame(
                index=index,
                stamp=shot.stamp,
                image=self.left.image(read_color(shot.image, self.left.size)),
                intrinsics=self.left.intrinsics,
            )
            if shot.right is not None and self.right is not None:
                pixels = read_color(shot.right, self.right.size)
                frame = replace(frame, right=self.right.image(pixels))
            if shot.depth is not None:
                metres = read_depth(shot.depth, self.left.size, self.units_per_metre)
                frame = replace(frame, depth=self.left.depth(metres))
            yield frame


def make_stream(
    folder: Path,
    frames: Frames,
    choice: Choice,
    *,
    truth: str | Path,
    units: Units,
    settings: Mapping[str, float] | None = None,
    tracked_every: int = 1,
    baseline_m: float | None = None,
) -> Stream:
    """The stream of a folder's frames; ``truth`` is where in the folder the ground truth lies, if it does."""
    left = bound(frames.left, choice.max_image_size)
    right = bound(frames.right, choice.max_image_size) if frames.right else None
    frames = replace(frames, left=left, right=right)
    return Stream(
        name=folder.name,
        frames=frames,
        stamps=tuple(shot.stamp for shot in frames.shots),
        height=left.height,
        width=left.width,
        mode=choice.mode,
        groundtruth=folder / truth if (folder / truth).exists() else None,
        units=units,
        settings=settings or {},
        tracked_every=tracked_every,
        baseline_m=baseline_m if choice.mode == "stereo" else None,
    )


def choose(shots: tuple[Shot, ...], choice: Choice, *, stride: int, folder: Path) -> tuple[Shot, ...]:
    """The shots that are taken; ``stride`` is the dataset's own, for a choice without one.

    Raises:
        InputError: they are too few for any engine.
    """
    step = choice.stride or stride
    chosen = shots[::step][choice.t0 :][: choice.max_frames]
    if len(chosen) < FEWEST_FRAMES:
        raise InputError(
            f"{folder}: {len(chosen)} of {len(shots)} images are taken (every {step}. from place {choice.t0} "
            f"on), and at least {FEWEST_FRAMES} are needed; use a smaller --stride or --t0 or a larger "
            "--max-frames"
        )
    return chosen


def common_size(shots: tuple[Shot, ...]) -> tuple[int, int]:
    """Width and height of all images in pixels, left and right, by their files' first bytes.

    Raises:
        InputError: they differ, or one is no image.
    """
    first = shots[0].image
    size = size_of_image(first)
    for path in (path for shot in shots for path in (shot.image, shot.right) if path is not None):
        if (other := size_of_image(path)) != size:
            raise InputError(
                f"{path} is {other[0]}x{other[1]}, but {first.name} is {size[0]}x{size[1]}; one sequence is "
                "one camera with images of one size"
            )
    return size


def require_size(folder: Path, dataset: str, size: tuple[int, int], expected: tuple[int, int]) -> None:
    """Make sure that images have the size that a dataset's calibration is for.

    Raises:
        InputError: they don't.
    """
    if size != expected:
        raise InputError(
            f"{folder}: its images are {size[0]}x{size[1]}, but {dataset}'s are {expected[0]}x{expected[1]}, "
            "and its calibration is for these; stage them as they were published, or put resized images into "
            "a folder of their own with a calib.txt"
        )


def list_files(folder: Path, *suffixes: str) -> tuple[Path, ...]:
    """The files of these kinds in a folder, in the order of their names; none where there is no folder.

    Raises:
        InputError: the folder cannot be read.
    """
    if not folder.is_dir():
        return ()
    there = list_folder(folder)
    return tuple(path for path in there if path.suffix in suffixes and not path.name.startswith("."))


def seconds_of(stamp: str) -> float:
    """A timestamp as a number; NaN where it is none."""
    try:
        return float(stamp)
    except ValueError:
        return math.nan


def add_depth(colour: tuple[Shot, ...], depth: tuple[Shot, ...], folder: Path) -> tuple[Shot, ...]:
    """Give colour images the depth images of their moment; those without one are left out.

    Nearest pairs are made first, each image is used once, and the two are at most 0.02 s apart.

    Raises:
        InputError: no two belong together.
    """
    times = [seconds_of(shot.stamp) for shot in depth]
    pairs: list[tuple[float, int, int]] = []
    for place, shot in enumerate(colour):
        time = seconds_of(shot.stamp)
        first = bisect.bisect_left(times, time - DEPTH_DIFFERENCE_S)
        last = bisect.bisect_right(times, time + DEPTH_DIFFERENCE_S)
        pairs += [(abs(times[other] - time), place, other) for other in range(first, last)]
    found: dict[int, int] = {}
    taken: set[int] = set()
    for _, place, other in sorted(pairs):
        if place not in found and other not in taken:
            found[place] = other
            taken.add(other)
    if not found:
        raise InputError(
            f"{folder}: none of its {len(depth)} depth images is within {DEPTH_DIFFERENCE_S} s of one of its "
            f"{len(colour)} colour images; look at the timestamps in its lists, or leave --depth out"
        )
    return tuple(replace(colour[place], depth=depth[found[place]].image) for place in sorted(found))
