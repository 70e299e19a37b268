"""How many keyframes there is memory for, and more of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from slam.errors import MemoryShortError
from slam.progress import say

# Frames between keyframes are put behind them, sixteen at a time, and one keyframe is prepared ahead.
SPARE = 17
_FIRST = 512  # upstream's default
# The rest is for the network, correlations and the last adjustment.
_PART = 0.4


@dataclass(frozen=True, kw_only=True)
class Room:
    """How many rows the buffer has at first, and how many it may get; ``needed`` are as many as frames."""

    first: int
    most: int
    needed: int


def row_bytes(height: int, width: int, *, stereo: bool) -> int:
    """What one keyframe takes in upstream's buffer and beside it."""
    cells = (height // 8) * (width // 8)
    features = 2 * 128 * (2 + (2 if stereo else 1))
    # Coarser copies of the features, single precision in the backend.
    copies = 128 * 4 * (2 if stereo else 1)
    return cells * (features + copies + 4 * 4) + height * width * (3 + 4)


def plan(frames: int, row: int, free_bytes: int, *, asked: int | None, can_grow: bool) -> Room:
    """Choose the buffer for a stream.

    Args:
        frames: how many are tracked; no more can become keyframes.
        row: the bytes of one keyframe.
        free_bytes: the device's free memory.
        asked: ``--buffer``.
        can_grow: whether more rows can be had later.

    Raises:
        MemoryShortError: there is not even memory for the shortest reconstruction.
    """
    needed = frames + SPARE
    most = min(needed, int(free_bytes * _PART) // row)
    if most <= SPARE + 3:
        raise MemoryShortError(
            f"the device has {free_bytes / 2**30:.1f} GiB free, and a keyframe takes {row / 2**20:.1f} MiB: "
            "there is no memory for a reconstruction; ask for a larger GPU, or use smaller images"
        )
    wish = max(asked, SPARE + 4) if asked is not None else _FIRST if can_grow else most
    first = min(most, wish)
    if not can_grow:
        most = first
    return Room(first=first, most=most, needed=needed)


def grow(video: Any, damping_of: list[Any], rows: int) -> None:
    """Give upstream's video ``rows`` rows, and each factor graph's damping; what it holds stays.

    Args:
        video: upstream's ``DepthVideo``: its tensors have one row a keyframe.
        damping_of: the graphs that have a ``damping`` of as many rows.
        rows: more than it has.
    """
    import torch

    had = len(video.tstamp)
    for owner, names in ((video, sorted(vars(video))), *((graph, ["damping"]) for graph in damping_of)):
        for name in names:
            old = getattr(owner, name)
            if not isinstance(old, torch.Tensor) or old.dim() == 0 or len(old) != had:
                continue
            # The last row is one that was never used, and looks as all new ones do.
            new = old[-1:].expand(rows - had, *old.shape[1:])
            setattr(owner, name, torch.cat([old, new]))


def make_room(video: Any, graph: Any, room: Room, frame: int) -> None:
    """See to it that another keyframe fits; grow the buffer if need be.

    Raises:
        MemoryShortError: the memory holds no more.
    """
    rows, keyframes = len(video.tstamp), video.counter.value
    if keyframes + SPARE < rows:
        return
    wanted = min(2 * rows, room.most)
    if wanted <= rows:
        raise MemoryShortError(
            f"{keyframes} keyframes after {frame} frames, and there is room for {rows - SPARE}; make "
            "fewer with a larger --filter_thresh, --keyframe_thresh or --stride, take fewer frames with "
            "--max-frames, or ask for a larger GPU (with --asynchronous also: raise --buffer, where given)"
        )
    grow(video, [graph], wanted)
    say(f"buffer     {wanted} keyframes, {rows} were too few")
