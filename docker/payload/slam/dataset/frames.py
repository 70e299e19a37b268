"""The files of a sequence: which belong to one moment, which of them are taken, and frames made of them."""

from __future__ import annotations

import bisect
import math
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from slam.dataset.calibration.known import KnownCamera
from slam.dataset.camera import describe_middle
from slam.dataset.fault import Faults
from slam.dataset.files import exists
from slam.dataset.geometry import Preparation, bound
from slam.dataset.header import Header
from slam.dataset.image import find_range, read_color, read_depth, read_header
from slam.dataset.mask import add_masks
from slam.dataset.sequence import (
    FEWEST_FRAMES,
    GROUND_TRUTH,
    SECONDS,
    Bytes,
    Choice,
    Frame,
    Picture,
    Sequence,
    Units,
    ValueRange,
)
from slam.dataset.value import describe_range
from slam.errors import InputError
from slam.progress import say

_TOLD_EVERY_S = 5.0
# As the benchmark's own associate.py; a Kinect's two cameras take turns at 30 Hz.
DEPTH_DIFFERENCE_S = 0.02
# https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats#color_images_and_depth_maps
DEPTH_UNITS_PER_METRE = 5000.0


@dataclass(frozen=True, kw_only=True)
class Images:
    """What the images of a sequence have in common: ``size``, their width and height in pixels when upright.

    ``values`` are those of images with more than 8 bits, and ``notes`` what a person should know of them.
    """

    size: tuple[int, int]
    values: ValueRange | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Pictures:
    """Frames that are read and prepared when they are asked for, as often as they are.

    ``recording`` has their images where they have no files.
    """

    frames: tuple[Frame, ...]
    left: Preparation
    right: Preparation | None = None
    values: ValueRange | None = None
    units_per_metre: float = DEPTH_UNITS_PER_METRE
    recording: Iterable[Bytes] | None = None

    def __iter__(self) -> Iterator[Picture]:
        files = (read_color(frame.image, self.left.size, self.values) for frame in self.frames)
        images = files if self.recording is None else self.recording
        for index, (frame, image) in enumerate(zip(self.frames, images, strict=True)):
            picture = Picture(
                index=index,
                image=self.left.image(image),
                intrinsics=self.left.intrinsics,
            )
            if frame.right is not None and self.right is not None:
                pixels = read_color(frame.right, self.right.size, self.values)
                picture = replace(picture, right=self.right.image(pixels))
            if frame.depth is not None:
                metres = read_depth(frame.depth, self.left.size, self.units_per_metre)
                picture = replace(picture, depth=self.left.depth(metres))
            yield picture


def make_sequence(
    folder: Path,
    frames: tuple[Frame, ...],
    choice: Choice,
    *,
    images: Images,
    known: KnownCamera,
    notes: tuple[str, ...] = (),
    left: Preparation | None = None,
    right: Preparation | None = None,
    truth: str | Path = GROUND_TRUTH,
    units: Units = SECONDS,
    settings: Mapping[str, float] | None = None,
    tracked_every: int = 1,
    baseline_m: float | None = None,
    is_video: bool = True,
    recording: Iterable[Bytes] | None = None,
) -> Sequence:
    """The sequence of a folder's frames.

    Args:
        folder: where it lies.
        frames: those that are taken.
        choice: what was asked for.
        images: what all images have in common.
        known: what is known of the camera of the images as they were taken.
        notes: what a person should know of how its files were read.
        left: how images are prepared; unless ``choice`` takes them as they are.
        right: the same for the other camera of a pair.
        truth: where in the folder the ground truth lies, if it does.
        units: what the ground truth is measured in.
        settings: DROID-SLAM's, for this dataset.
        tracked_every: which frames DROID-SLAM tracks.
        baseline_m: the distance of a pair's cameras.
        is_video: whether neighbours in order are neighbours in space.
        recording: the images of frames that have no files.
    """
    frames, masked = add_masks(folder, frames, images.size, are_used=choice.as_taken)
    sequence = Sequence(
        name=folder.name,
        frames=frames,
        width=images.size[0],
        height=images.size[1],
        intrinsics=known.intrinsics,
        calibration=str(known),
        is_video=is_video,
        mode=choice.mode,
        groundtruth=folder / truth if exists(folder / truth) else None,
        units=units,
        settings=settings or {},
        baseline_m=baseline_m if choice.mode == "stereo" else None,
        values=images.values,
        recording=recording,
        notes=(
            *notes,
            *images.notes,
            *masked,
            *(describe_middle(known.intrinsics, images.size) if known.intrinsics else ()),
            *known.notes,
        ),
    )
    if choice.as_taken or left is None:
        return sequence
    left = bound(left, choice.max_image_size)
    right = bound(right, choice.max_image_size) if right else None
    return replace(
        sequence,
        width=left.width,
        height=left.height,
        file_size=images.size,
        turn=left.rectification.rotation if left.rectification else None,
        pictures=Pictures(frames=frames, left=left, right=right, values=images.values, recording=recording),
        tracked_every=tracked_every,
    )


def choose(frames: tuple[Frame, ...], choice: Choice, *, stride: int, folder: Path) -> tuple[Frame, ...]:
    """The frames that are taken; ``stride`` is the dataset's own, for a choice without one.

    Raises:
        InputError: they are too few for any engine, or chosen by times that files do not have.
    """
    if choice.start_s is not None or choice.end_s is not None:
        raise InputError(
            f"{folder}: --start and --end are for videos and bags; use --t0 and --max-frames for images in "
            "files"
        )
    if choice.topic is not None:
        raise InputError(f"{folder}: --topic is for ROS bags; leave it out")
    if choice.truth_topic is not None:
        raise InputError(f"{folder}: --groundtruth-topic is for ROS bags; leave it out")
    step = choice.stride or (1 if choice.as_taken else stride)
    chosen = frames[::step][choice.t0 :][: choice.max_frames]
    if len(chosen) < FEWEST_FRAMES:
        raise InputError(
            f"{folder}: {len(chosen)} of {len(frames)} images are taken (every {step}. from place "
            f"{choice.t0} on), and at least {FEWEST_FRAMES} are needed; use a smaller --stride or --t0 or a "
            "larger --max-frames, or add images"
        )
    return chosen


def survey(frames: tuple[Frame, ...], choice: Choice) -> Images:
    """What all images of these frames have in common, left and right, by their files' first bytes.

    An engine that reads the files itself may pass over broken ones, so for it each is decoded.

    Raises:
        InputError: their sizes differ, or one is no image.
    """
    paths = [path for frame in frames for path in (frame.image, frame.right) if path is not None]
    if choice.faults is not None:
        decoded = _decode_all(paths, choice.faults)
        turned = sum(header.is_turned for header in decoded)
        return Images(size=decoded[0].size, notes=tuple(_describe(turned, len(paths))))
    headers = [read_header(path, whole=choice.as_taken) for path in paths]
    size = headers[0].size
    for path, header in zip(paths, headers, strict=True):
        if header.size != size:
            raise InputError(
                f"{path} is {header.size[0]}x{header.size[1]}, but {paths[0].name} is {size[0]}x{size[1]}; "
                "one sequence is one camera with images of one size"
            )
    deep = [path for path, header in zip(paths, headers, strict=True) if header.is_deep]
    _require_one_kind(deep, paths)
    values = find_range(deep)
    turned = sum(header.is_turned for header in headers)
    return Images(size=size, values=values, notes=(*_describe(turned, len(paths)), *describe_range(values)))


def _decode_all(paths: list[Path], faults: Faults) -> list[Header]:
    """Decode images that were not decoded yet, and say how far it is; the headers of those that can be.

    One of another size than most of them is noted, and left out like a broken one.

    Raises:
        InputError: none can be.
    """
    told = time.monotonic()
    for place, path in enumerate(paths):
        if path not in faults.headers:
            faults.headers[path] = None
            with faults.noted():
                faults.headers[path] = read_header(path, whole=True)
        if time.monotonic() - told > _TOLD_EVERY_S:
            told = time.monotonic()
            say(f"images     {place + 1} of {len(paths)} looked at")
    found = {path: header for path in paths if (header := faults.headers[path]) is not None}
    if not found:
        raise InputError(f"{paths[0].parent}: none of its {len(paths)} images can be read")
    (usual, count), *_ = Counter(header.size for header in found.values()).most_common(1)
    for path, header in found.items():
        if header.size != usual:
            faults.add(
                f"{path} is {header.size[0]}x{header.size[1]}, and {count} of {len(found)} images are "
                f"{usual[0]}x{usual[1]}; one sequence is one camera with images of one size: take it out"
            )
    return [header for header in found.values() if header.size == usual]


def _require_one_kind(deep: list[Path], paths: list[Path]) -> None:
    """Make sure that no depth images are among others, as in folders of 7-Scenes or Replica.

    Raises:
        InputError: some are grey with more than 8 bits, and others are not.
    """
    if 0 < len(deep) < len(paths):
        other = next(path for path in paths if path not in set(deep))
        raise InputError(
            f"{deep[0]} and {len(deep) - 1} more of {len(paths)} images are grey with more than 8 bits, as "
            f"depth is, and {other.name} is not; one sequence is the images of one camera, so put those into "
            "a folder of their own (images/)"
        )


def _describe(turned: int, count: int) -> Iterator[str]:
    if turned:
        yield (
            f"{turned} of {count} images are stored turned, and are read upright, as their orientation "
            "(EXIF) says; the calibration has to be for upright images"
        )


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


def seconds_of(stamp: str) -> float:
    """A timestamp as a number; NaN where it is none."""
    try:
        return float(stamp)
    except ValueError:
        return math.nan


def add_depth(colour: tuple[Frame, ...], depth: tuple[Frame, ...], folder: Path) -> tuple[Frame, ...]:
    """Give colour images the depth images of their moment; those without one are left out.

    Nearest pairs are made first, each image is used once, and the two are at most 0.02 s apart.

    Raises:
        InputError: no two belong together.
    """
    times = [seconds_of(frame.stamp) for frame in depth]
    pairs: list[tuple[float, int, int]] = []
    for place, frame in enumerate(colour):
        time = seconds_of(frame.stamp)
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
