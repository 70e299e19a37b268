"""Which dataset a folder is a sequence of, told by what is in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from slam.dataset import eth3d, euroc, plain, tartanair, tum
from slam.dataset.sequence import GROUND_TRUTH
from slam.dataset.shot import Choice
from slam.dataset.stream import Stream


@dataclass(frozen=True, kw_only=True)
class Layout:
    """A way of laying out a sequence: how to tell it, how to read it, where in it the ground truth lies."""

    name: str
    holds: Callable[[Path], bool]
    open_stream: Callable[[Path, Choice], Stream]
    groundtruth: Path = Path(GROUND_TRUTH)


# ETH3D's sequences look like TUM's, with a calibration file of another name.
LAYOUTS = (
    Layout(name="euroc", holds=euroc.holds, open_stream=euroc.open_stream, groundtruth=euroc.GROUND_TRUTH),
    Layout(
        name="tartanair",
        holds=tartanair.holds,
        open_stream=tartanair.open_stream,
        groundtruth=Path(tartanair.GROUND_TRUTH),
    ),
    Layout(name="eth3d", holds=eth3d.holds, open_stream=eth3d.open_stream),
    Layout(name="tum", holds=tum.holds, open_stream=tum.open_stream),
    Layout(name="plain", holds=plain.holds, open_stream=plain.open_stream),
)


def find_layout(folder: Path) -> Layout | None:
    """The layout of a sequence's folder; ``None`` where it is no sequence."""
    return next((layout for layout in LAYOUTS if layout.holds(folder)), None)


def open_stream(folder: Path, choice: Choice) -> Stream:
    """The sequence in a folder, whatever dataset it is of.

    Raises:
        InputError: it is none, or not as it should be, or the choice cannot be had.
    """
    layout = find_layout(folder)
    # A folder that is none is a plain one whose images are missing; that is what its reader says.
    return layout.open_stream(folder, choice) if layout else plain.open_stream(folder, choice)


def groundtruth_of(folder: Path) -> Path:
    """Where the ground truth of a sequence is, if it has one."""
    layout = find_layout(folder)
    return folder / (layout.groundtruth if layout else GROUND_TRUTH)
