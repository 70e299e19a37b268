"""Which dataset a folder is a sequence of, told by what is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slam.dataset import bag, eth3d, euroc, kitti, plain, tartanair, tum, video
from slam.dataset.sequence import GROUND_TRUTH, Choice, Sequence


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A way of laying out a sequence: how to tell it, how to read it, where its ground truth lies.

    ``told_by`` says for people what ``holds`` looks for.
    """

    name: str
    told_by: str
    holds: Callable[[Path], bool]
    open_sequence: Callable[[Path, Choice], Sequence]
    groundtruth_of: Callable[[Path], Path] = lambda folder: folder / GROUND_TRUTH


# ETH3D's sequences look like TUM's, with a calibration file of another name.
LAYOUTS = (
    Layout(
        name="euroc",
        told_by="`mav0/cam0/data/`, or `cam0/data/`",
        holds=euroc.holds,
        open_sequence=euroc.open_sequence,
        groundtruth_of=euroc.groundtruth_of,
    ),
    Layout(
        name="kitti",
        told_by="`times.txt` and `image_0/` or `image_2/`",
        holds=kitti.holds,
        open_sequence=kitti.open_sequence,
        groundtruth_of=kitti.groundtruth_of,
    ),
    Layout(
        name="tartanair",
        told_by="`image_left/`",
        holds=tartanair.holds,
        open_sequence=tartanair.open_sequence,
        groundtruth_of=lambda folder: folder / tartanair.GROUND_TRUTH,
    ),
    Layout(
        name="eth3d",
        told_by="`calibration.txt` and `rgb/`",
        holds=eth3d.holds,
        open_sequence=eth3d.open_sequence,
    ),
    Layout(name="tum", told_by="`rgb.txt` or `rgb/`", holds=tum.holds, open_sequence=tum.open_sequence),
    Layout(
        name="plain",
        told_by="images in it or in `images/`",
        holds=plain.holds,
        open_sequence=plain.open_sequence,
    ),
    Layout(
        name="bag",
        told_by="a `.bag` (ROS 1) or `.mcap`, a folder with one, or a ROS 2 bag's `metadata.yaml`",
        holds=bag.holds,
        open_sequence=bag.open_sequence,
        groundtruth_of=bag.groundtruth_of,
    ),
    Layout(
        name="video",
        told_by="a video, or a folder with one and no folder in it",
        holds=video.holds,
        open_sequence=video.open_sequence,
        groundtruth_of=video.groundtruth_of,
    ),
)


def find_layout(folder: Path) -> Layout | None:
    """The layout of a sequence's folder; ``None`` where it is no sequence."""
    return next((layout for layout in LAYOUTS if layout.holds(folder)), None)


def open_sequence(folder: Path, choice: Choice) -> Sequence:
    """The sequence in a folder, whatever dataset it is of.

    Raises:
        InputError: it is none, or not as it should be, or the choice cannot be had.
    """
    layout = find_layout(folder)
    # A folder that is none is a plain one whose images are missing; that is what its reader says.
    return layout.open_sequence(folder, choice) if layout else plain.open_sequence(folder, choice)


def groundtruth_of(folder: Path) -> Path:
    """Where the ground truth of a sequence is, if it has one."""
    layout = find_layout(folder)
    return layout.groundtruth_of(folder) if layout else folder / GROUND_TRUTH
