"""What a dataset is to an engine: the images of one camera in order, and what is known of them."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt

from slam.dataset.camera import Intrinsics

if TYPE_CHECKING:
    from slam.dataset.fault import Faults

Mode = Literal["mono", "stereo", "rgbd"]
Bytes = npt.NDArray[np.uint8]
Metres = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]

GROUND_TRUTH = "groundtruth.txt"
FEWEST_FRAMES = 3


@dataclass(frozen=True, kw_only=True)
class Units:
    """The words for a trajectory's unit of length and for its timestamps."""

    length: str
    time: str


SECONDS = Units(length="m", time="s")
PLACES = Units(length="units", time="place in name order")


@dataclass(frozen=True, kw_only=True)
class Choice:
    """Which frames of a sequence to take, and what of them.

    Every ``stride``-th (``None``: as the dataset is usually read), from the ``t0``-th of these on, and at
    most ``max_frames``. No prepared image is longer than ``max_image_size`` pixels. ``as_taken`` is for an
    engine that reads the image files itself: nothing is prepared, and every image is taken where no stride
    is asked for. ``top`` is the dataset's folder, in which the sequence's lies. ``start_s`` and ``end_s`` are
    times in a recording, a video or a bag, between which frames are counted at all. ``topic`` is that of a
    bag's images, ``truth_topic`` that of its ground truth.
    ``is_strict`` lets no list have rows that are double, unsorted or without a timestamp. ``faults`` is told
    what is wrong with single files, where that is to be no error; such frames are still among the others.
    """

    mode: Mode = "mono"
    stride: int | None = None
    t0: int = 0
    max_frames: int | None = None
    max_image_size: int | None = None
    as_taken: bool = False
    top: Path | None = None
    is_strict: bool = False
    start_s: float | None = None
    end_s: float | None = None
    topic: str | None = None
    truth_topic: str | None = None
    faults: Faults | None = None


@dataclass(frozen=True, kw_only=True)
class Frame:
    """The files of one moment, and its timestamp as it goes to a trajectory file.

    ``mask`` is an image that is black where nothing is to be looked at.

    A frame of a recording has no file: ``image`` is the recording's path with the name below it that the
    frame would have in a folder.
    """

    stamp: str
    image: Path
    right: Path | None = None
    depth: Path | None = None
    mask: Path | None = None


@dataclass(frozen=True, kw_only=True)
class Picture:
    """The pixels of one moment, undistorted and resized.

    ``index`` is its place in the sequence, from 0. ``image`` is uint8 [3, H, W] in the order blue, green,
    red; H and W are multiples of 8. ``intrinsics`` are float64 [4], ``fx fy cx cy`` in pixels of this image.
    ``right`` is the other camera's image of a stereo pair, rectified, of the same size. ``depth`` is float32
    [H, W] in metres, 0 where nothing was measured.
    """

    index: int
    image: Bytes
    intrinsics: Numbers
    right: Bytes | None = None
    depth: Metres | None = None


@dataclass(frozen=True, kw_only=True)
class ValueRange:
    """The values of grey images with more than 8 bits that become 0 and 255."""

    low: float
    high: float


@dataclass(frozen=True, kw_only=True)
class Sequence:
    """The frames of one camera in order.

    ``pictures`` are the same frames as DROID-SLAM takes them: they can be gone through again and again, are
    read when they are asked for, and can be pickled. There are none for an engine that reads the files.
    ``width`` and ``height`` are those of the pictures, else of the files' images, in pixels; ``file_size`` is
    theirs where pictures have another. ``intrinsics`` are of the files' images, ``None`` where nothing says
    what the camera is, and ``calibration`` is what says so, in words. ``turn`` is a rotation matrix, row by
    row, from the axes of the camera that took the files to those of the pictures, where rectification has
    turned them. ``is_video`` says that neighbours in order are neighbours in space. ``mode`` says which
    frames have ``right`` (stereo) or ``depth`` (rgbd).

    ``groundtruth`` is a file for ``slam.posefile.posefile.read_posefile``; ``units`` are its units.
    ``settings`` are DROID-SLAM's own options, by their names there, that this dataset is known to need;
    the command line goes before them. ``tracked_every`` n says that DROID-SLAM tracks frames 0, n, 2n …, and
    fills in the poses of the others at the end. ``baseline_m`` is the distance of a stereo pair's cameras in
    metres; DROID-SLAM takes it for 0.1. ``values`` are those of images with more than 8 bits, for an engine
    that reads the files; ``None`` where there are none. ``notes`` are what a person should know of how the
    sequence was read. ``frame`` is one of :data:`slam.trajectory.FRAMES`, that which poses of these images
    are of, where the dataset knows several.

    ``recording`` has the images of frames without files, in their order, as they were taken and upright:
    uint8 [h, w, 3] in the order blue, green, red. Like ``pictures`` it can be gone through again, and be
    pickled. ``slam.dataset.recording.unpack`` makes files of them, which are gone at the end
    (``is_unpacked``). ``focal_35mm`` is what the camera says
    that its focal length in mm would be, were the image as large as 35 mm film.
    """

    name: str
    frames: tuple[Frame, ...]
    width: int
    height: int
    pictures: Iterable[Picture] = ()
    intrinsics: Intrinsics | None = None
    calibration: str = ""
    file_size: tuple[int, int] | None = None
    turn: tuple[float, ...] | None = None
    is_video: bool = True
    mode: Mode = "mono"
    groundtruth: Path | None = None
    units: Units = PLACES
    settings: Mapping[str, float] = field(default_factory=dict)
    tracked_every: int = 1
    baseline_m: float | None = None
    values: ValueRange | None = None
    notes: tuple[str, ...] = ()
    recording: Iterable[Bytes] | None = None
    is_unpacked: bool = False
    focal_35mm: float | None = None
    frame: str | None = None

    @property
    def stamps(self) -> tuple[str, ...]:
        """The timestamps of all frames."""
        return tuple(frame.stamp for frame in self.frames)

    @property
    def image_folder(self) -> Path:
        """The deepest folder that all images lie in."""
        return Path(os.path.commonpath([frame.image.parent for frame in self.frames]))

    @property
    def image_names(self) -> tuple[str, ...]:
        """The paths of all images in that folder, with ``/`` between folders: mostly their files' names."""
        folder = self.image_folder
        return tuple(frame.image.relative_to(folder).as_posix() for frame in self.frames)

    @property
    def length(self) -> int:
        """The number of frames."""
        return len(self.frames)

    @property
    def is_metric(self) -> bool:
        """Whether depth or a known distance of two cameras gives what is made of it a length in metres."""
        return self.mode == "rgbd" or (self.mode == "stereo" and self.baseline_m is not None)
