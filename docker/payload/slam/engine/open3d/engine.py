"""RGB-D SLAM by Open3D (https://www.open3d.org): dense odometry and a pose graph, on the CPU.

Each image is aligned with the last keyframe. One that shares little with it becomes the next keyframe; one
that cannot be aligned has no pose. At the end keyframes that see the same place are aligned with each other,
and all their poses adjusted together. Lengths are metres, as depth has them.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from slam.dataset.sequence import FEWEST_FRAMES, Sequence
from slam.engine.answer import read_answer
from slam.engine.estimate import Estimate, Settings
from slam.engine.interface import Result
from slam.engine.open3d.graph import Tie, adjust, find_loops
from slam.engine.open3d.odometry import MAX_DEPTH_M, Motion, View, find_motion, make_view
from slam.errors import ReconstructionError, SlamError
from slam.progress import say
from slam.trajectory import Floats

# An image that shares less than this with the keyframe becomes the next one.
KEYFRAME_OVERLAP = 0.75
# Where two images share less, their motion may be a chance.
FEWEST_OVERLAP = 0.3
# Of the cloud, in metres.
VOXEL_M = 0.02
_EVERY = 100  # frames between two lines of the log


@dataclass(kw_only=True)
class Track:
    """Keyframes with their poses [4, 4] from camera to world, the ties between neighbours, and all frames.

    ``frames`` has of each frame its place in the sequence, its keyframe, and the motion to that.
    """

    views: list[View] = field(default_factory=list)
    poses: list[Floats] = field(default_factory=list)
    ties: list[Tie] = field(default_factory=list)
    frames: list[tuple[int, int, Floats]] = field(default_factory=list)


def estimate(sequence: Sequence, settings: Settings, workspace: Path) -> Estimate:
    """Reconstruct a sequence of images with depth.

    Raises:
        ReconstructionError: fewer than three images could be aligned.
        SlamError: Open3D is not installed.
    """
    del workspace
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise SlamError(
            f"{error}; the engine open3d needs the package open3d-cpu and the system's libGL, libEGL, "
            "libidn2, libusb-1.0 and libX11: docs/engines.md has a Dockerfile with them"
        ) from error
    open3d.utility.set_max_threads(settings.threads)
    open3d.utility.set_verbosity_level(open3d.utility.VerbosityLevel.Error)
    track = follow(sequence)
    if len(track.frames) < FEWEST_FRAMES:
        raise ReconstructionError(
            f"{sequence.name}: {len(track.frames)} of {sequence.length} images could be aligned, at least "
            f"{FEWEST_FRAMES} have to be; depth images have to fit the colour images pixel by pixel, and "
            "neighbours to lie close together (a smaller --stride)"
        )
    loops = find_loops(track.views, track.poses)
    say(f"adjusting  {len(track.views)} keyframes, {len(loops)} pairs of them see the same place again")
    poses = adjust(track.views, track.poses, track.ties + loops) if len(track.views) > 1 else track.poses
    points, colors = make_cloud(track.views, poses)
    result = Result(
        poses=[poses[keyframe] @ motion for _, keyframe, motion in track.frames],
        frames=[place for place, _, _ in track.frames],
        points=points,
        colors=colors,
        facts={"mode": sequence.mode, "keyframes": len(track.views), "loops": len(loops)},
        versions={"open3d": open3d.__version__},
    )
    return read_answer(result, sequence, "open3d")


def follow(sequence: Sequence) -> Track:
    """Align each image with the last keyframe, and make keyframes."""
    track = Track()
    lost = 0
    for picture in sequence.pictures:
        view = make_view(picture)
        if not track.views:
            _add_keyframe(track, view, np.eye(4))
            continue
        motion = _align(track, view)
        if motion is None:
            lost += 1
        elif motion.overlap < KEYFRAME_OVERLAP:
            last = len(track.views) - 1
            track.ties.append(Tie(source=last + 1, target=last, motion=motion, is_loop=False))
            _add_keyframe(track, view, track.poses[-1] @ motion.transform)
        else:
            track.frames.append((picture.index, len(track.views) - 1, motion.transform))
        if picture.index % _EVERY == 0:
            say(f"tracking   {picture.index}/{sequence.length}, {len(track.views)} keyframes, {lost} lost")
    say(f"tracking   {len(track.frames)} of {sequence.length} aligned, {len(track.views)} keyframes")
    return track


def _align(track: Track, view: View) -> Motion | None:
    """The motion to the last keyframe, from where the last frame was, or from the keyframe itself."""
    for guess in (track.frames[-1][2], np.eye(4)):
        motion = find_motion(view, track.views[-1], guess)
        if motion is not None and motion.overlap >= FEWEST_OVERLAP:
            return motion
    return None


def _add_keyframe(track: Track, view: View, pose: Floats) -> None:
    track.views.append(view)
    track.poses.append(pose)
    track.frames.append((view.picture.index, len(track.views) - 1, np.eye(4)))


def make_cloud(views: list[View], poses: list[Floats]) -> tuple[Floats, Floats]:
    """The keyframes' points [m, 3] in metres, one a voxel, and their colours [m, 3] from 0 to 255."""
    import open3d

    total = open3d.geometry.PointCloud()
    for view, pose in zip(views, poses, strict=True):
        into_camera = open3d.core.Tensor(np.linalg.inv(pose))
        cloud = open3d.t.geometry.PointCloud.create_from_rgbd_image(
            view.image, view.matrix, into_camera, 1.0, MAX_DEPTH_M
        )
        total += cloud.voxel_down_sample(VOXEL_M).to_legacy()
    total = total.voxel_down_sample(VOXEL_M)
    return np.asarray(total.points), np.rint(np.asarray(total.colors) * 255)
