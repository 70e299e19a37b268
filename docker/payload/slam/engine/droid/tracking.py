"""One stream through upstream's classes: tracked frame by frame, finished, and read out."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from slam.dataset.sequence import Picture, Sequence
from slam.engine.droid.backend import install_backend, require_alive, stop_backend, wait_for_backend
from slam.engine.droid.memory import Room, make_room
from slam.engine.droid.options import Options
from slam.engine.droid.reconstruction import Reconstruction
from slam.engine.droid.upstream import make_arguments
from slam.errors import ReconstructionError
from slam.progress import say
from slam.trajectory import Floats

_BASELINE_M = 0.1  # upstream's kernel has it built in
_SAY_EVERY_S = 5.0


@dataclass(kw_only=True)
class Reporter:
    """Says how far a pass has come, every few seconds."""

    word: str
    total: int
    said: float = field(default_factory=time.monotonic)

    def tell(self, done: int, detail: str = "") -> None:
        """Say it, unless something was just said; the last one is always said."""
        if done == self.total or time.monotonic() - self.said > _SAY_EVERY_S:
            self.said = time.monotonic()
            say(f"{self.word:<10} {done}/{self.total}{detail}")


@dataclass(frozen=True, kw_only=True)
class Tracking:
    """A stream on its way through upstream: ``droid`` is its ``Droid`` or ``DroidAsync``."""

    sequence: Sequence
    options: Options
    room: Room
    droid: Any

    @property
    def video(self) -> Any:
        """Upstream's buffer of keyframes, as far as they are tracked."""
        return self.droid.video1 if self.options.asynchronous else self.droid.video


@contextlib.contextmanager
def start(
    sequence: Sequence, options: Options, room: Room, *, root: Path, weights: Path, threads: int
) -> Iterator[Tracking]:
    """Load upstream's network and make its buffer; a second process ends with the block."""
    arguments = make_arguments(
        options,
        root=root,
        threads=threads,
        weights=weights,
        image_size=(sequence.height, sequence.width),
        buffer=room.first,
        stereo=sequence.mode == "stereo",
    )
    with _quiet():
        if options.asynchronous:
            install_backend()
            droid = import_module("droid_async").DroidAsync(arguments)
        else:
            droid = import_module("droid").Droid(arguments)
    try:
        yield Tracking(sequence=sequence, options=options, room=room, droid=droid)
    finally:
        stop_backend(droid)


def _quiet() -> contextlib.redirect_stdout[io.StringIO]:
    """Upstream prints file names and rows of hashes."""
    return contextlib.redirect_stdout(io.StringIO())


def follow(tracking: Tracking) -> None:
    """Track every frame that is to be tracked.

    Raises:
        MemoryShortError: there are more keyframes than there is memory for.
        ReconstructionError: too few frames became keyframes.
        CrashError: upstream's second process has died.
    """
    sequence, droid = tracking.sequence, tracking.droid
    count = len(range(0, sequence.length, sequence.tracked_every))
    reporter = Reporter(word="tracking", total=count)
    for done, frame in enumerate(_tracked(sequence), 1):
        require_alive(droid)
        make_room(tracking.video, droid.frontend.graph, tracking.room, done - 1)
        image, depth, intrinsics = to_tensors(frame, sequence.mode)
        droid.track(frame.index, image, depth, intrinsics=intrinsics)
        reporter.tell(done, f", {tracking.video.counter.value} keyframes")
    require_start(int(tracking.video.counter.value), droid.frontend.is_initialized, count, tracking.options)


def _tracked(sequence: Sequence) -> Iterator[Picture]:
    return (frame for frame in sequence.pictures if frame.index % sequence.tracked_every == 0)


def to_tensors(frame: Picture, mode: str) -> tuple[Any, Any, Any]:
    """What upstream tracks: images [c, 3, H, W], two for stereo, depth [H, W] or None, intrinsics [4]."""
    import torch

    images = [frame.image] if mode != "stereo" or frame.right is None else [frame.image, frame.right]
    depth = None
    if mode == "rgbd" and frame.depth is not None:
        # Upstream divides by it, and takes 0 for not measured.
        known = np.where(np.isfinite(frame.depth) & (frame.depth > 0), frame.depth, np.float32(0))
        depth = torch.from_numpy(known.astype(np.float32))
    return torch.from_numpy(np.stack(images)), depth, _to_single(frame)


def _to_single(frame: Picture) -> Any:
    import torch

    return torch.from_numpy(frame.intrinsics.astype(np.float32))


def require_start(keyframes: int, started: bool, frames: int, options: Options) -> None:
    """Make sure that upstream began to reconstruct; if it did not, it returns poses all the same.

    Raises:
        ReconstructionError: it did not.
    """
    if started:
        return
    if keyframes <= 1:
        raise ReconstructionError(
            f"the camera does not move in any of {frames} frames: no flow reached --filter_thresh "
            f"{options.filter_thresh:g}; take frames in which it does, or lower that"
        )
    raise ReconstructionError(
        f"{keyframes} of {frames} frames became keyframes, and {options.warmup} (--warmup) are needed to "
        "begin; use more frames or a larger --stride, or lower --filter_thresh"
    )


def finish(tracking: Tracking) -> Floats:
    """Adjust all keyframes and find the poses between them: [n, 7] for all frames, from camera to world.

    Raises:
        CrashError: upstream's second process has died.
        ReconstructionError: a pose is no number.
    """
    sequence = tracking.sequence
    say("adjusting  all keyframes")
    if tracking.options.asynchronous:
        wait_for_backend(tracking.droid)
    log = sys.stdout
    with _quiet():
        poses = tracking.droid.terminate(_fill(sequence, log))
    return require_poses(np.asarray(poses, dtype=np.float64), sequence.length)


def _fill(sequence: Sequence, log: Any) -> Iterator[tuple[int, Any, Any]]:
    """Frames as upstream's filler takes them; one image each, as it is the left camera that it places."""
    reporter = Reporter(word="filling in", total=sequence.length)
    for done, frame in enumerate(sequence.pictures, 1):
        with contextlib.redirect_stdout(log):
            reporter.tell(done)
        image, _, intrinsics = to_tensors(frame, "mono")
        yield frame.index, image, intrinsics


def require_poses(poses: Floats, frames: int) -> Floats:
    """Make sure that there is a usable pose for each frame.

    Raises:
        ReconstructionError: there is not.
    """
    if poses.shape != (frames, 7):
        raise ReconstructionError(f"DROID-SLAM gave {len(poses)} poses for {frames} frames")
    broken = ~np.isfinite(poses).all(1) | (np.linalg.norm(poses[:, 3:], axis=1) < 0.5)
    if broken.any():
        raise ReconstructionError(
            f"the poses of {int(broken.sum())} of {frames} frames are no numbers, the first of them frame "
            f"{int(np.argmax(broken))}: the adjustment failed; check the intrinsics, the depth's unit and "
            "the weights"
        )
    return poses


def read_video(tracking: Tracking) -> Reconstruction:
    """The keyframes, once they are all adjusted.

    Raises:
        ReconstructionError: an adjusted pose is no number.
    """
    sequence = tracking.sequence
    # The second process has the adjusted ones.
    video = tracking.droid.video2 if tracking.options.asynchronous else tracking.droid.video
    rows = int(video.counter.value)

    def read(name: str) -> Any:
        return getattr(video, name)[:rows].detach().cpu().numpy().copy()

    if not all(np.isfinite(read(name)).all() for name in ("poses", "disps_up")):
        raise ReconstructionError(
            "DROID-SLAM's keyframes hold numbers that are none: the adjustment failed; check the intrinsics, "
            "the depth's unit and the weights"
        )
    return Reconstruction(
        frames=np.rint(read("tstamp")).astype(np.int64),
        poses=read("poses"),
        disps=read("disps_up"),
        images=read("images"),
        intrinsics=read("intrinsics"),
        scale=sequence.baseline_m / _BASELINE_M if sequence.mode == "stereo" and sequence.baseline_m else 1.0,
    )
