"""What a dataset is to an engine: prepared frames that are read when they are needed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt

from slam.dataset.sequence import Units

Mode = Literal["mono", "stereo", "rgbd"]
Bytes = npt.NDArray[np.uint8]
Metres = npt.NDArray[np.float32]
Numbers = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True)
class Frame:
    """One moment, undistorted and resized.

    ``index`` is its place in the stream, from 0, and ``stamp`` its timestamp as it goes to a trajectory file.
    ``image`` is uint8 [3, H, W] in the order blue, green, red; H and W are multiples of 8. ``intrinsics`` are
    float64 [4], ``fx fy cx cy`` in pixels of this image. ``right`` is the other camera's image of a stereo
    pair, rectified, of the same size. ``depth`` is float32 [H, W] in metres, 0 where nothing was measured.
    """

    index: int
    stamp: str
    image: Bytes
    intrinsics: Numbers
    right: Bytes | None = None
    depth: Metres | None = None


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The frames of one sequence, and what is known of it.

    ``frames`` can be gone through again and again, reads each frame when it is asked for, and can be pickled.
    ``stamps`` are the timestamps of all ``length`` frames, so that nothing needs to be read to know them.
    All frames are ``height`` by ``width`` pixels. ``mode`` says which frames carry ``right`` (stereo) or
    ``depth`` (rgbd).

    ``groundtruth`` is a file for ``slam.dataset.groundtruth.read_groundtruth``; ``units`` are its units.
    ``settings`` are DROID-SLAM's own options, by their names there, that this dataset is known to need;
    the command line goes before them. ``tracked_every`` n says that the engine tracks frames 0, n, 2n …, and
    fills in the poses of the others at the end. ``baseline_m`` is the distance of a stereo pair's cameras in
    metres; DROID-SLAM takes it for 0.1.
    """

    name: str
    frames: Iterable[Frame]
    stamps: tuple[str, ...]
    height: int
    width: int
    mode: Mode = "mono"
    groundtruth: Path | None = None
    units: Units = field(default_factory=lambda: Units(length="units", time="place in name order"))
    settings: Mapping[str, float] = field(default_factory=dict)
    tracked_every: int = 1
    baseline_m: float | None = None

    @property
    def is_metric(self) -> bool:
        """Whether depth or a known distance of two cameras gives what is made of it a length in metres."""
        return self.mode == "rgbd" or (self.mode == "stereo" and self.baseline_m is not None)

    @property
    def length(self) -> int:
        """The number of frames."""
        return len(self.stamps)
