"""The motion between two images with depth, by Open3D's odometry."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from slam.dataset.sequence import Metres, Picture
from slam.trajectory import Floats

if TYPE_CHECKING:
    import open3d

# A Kinect's depths are good for little beyond; those of a laser scanner or of a renderer are cut as well.
MAX_DEPTH_M = 10.0
# Open3D's own, for indoor scenes: two depths of one place are at most so far apart.
SAME_PLACE_M = 0.07
# Of the pixels that a motion brings into sight, the share that has to be found there. In the demo's room,
# motions of 16 to 66 cm with more were right to 2 cm, but for one; those with less were wrong by 4 to 60 cm.
AGREEMENT = 0.85
_GRID = 16  # every so many pixels, where an overlap is only estimated
_ITERATIONS = (20, 10, 5)  # from the smallest of three sizes to the whole image


@dataclass(frozen=True, kw_only=True)
class View:
    """An image with depth as Open3D has it, its camera [3, 3], and the picture that it was made of."""

    image: open3d.t.geometry.RGBDImage
    matrix: open3d.core.Tensor
    picture: Picture


@dataclass(frozen=True, kw_only=True)
class Motion:
    """``transform`` [4, 4] brings points from the source's camera to the target's, in metres.

    ``overlap`` is the share of the source's pixels with depth that have been found in the target.
    """

    transform: Floats
    overlap: float


def make_view(picture: Picture) -> View:
    """A picture with depth, for Open3D."""
    import open3d

    assert picture.depth is not None  # noqa: S101 - the sequence is rgbd
    color = np.ascontiguousarray(picture.image[::-1].transpose(1, 2, 0))
    geometry, core = open3d.t.geometry, open3d.core
    fx, fy, cx, cy = picture.intrinsics
    return View(
        image=geometry.RGBDImage(
            geometry.Image(core.Tensor(color)), geometry.Image(core.Tensor(picture.depth[:, :, None]))
        ),
        matrix=core.Tensor(np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1.0]])),
        picture=picture,
    )


def find_motion(source: View, target: View, guess: Floats) -> Motion | None:
    """The motion from a view to another one, near a guess [4, 4].

    ``None`` where there is none to be found, or where the two would see the same place and do not.
    Colours and depths are matched together (Park, Zhou and Koltun, "Colored point cloud registration
    revisited", ICCV 2017).
    """
    import open3d

    odometry = open3d.t.pipelines.odometry
    try:
        found = odometry.rgbd_odometry_multi_scale(
            source.image,
            target.image,
            source.matrix,
            open3d.core.Tensor(guess),
            1.0,
            MAX_DEPTH_M,
            [odometry.OdometryConvergenceCriteria(count) for count in _ITERATIONS],
            odometry.Method.Hybrid,
            odometry.OdometryLossParams(depth_outlier_trunc=SAME_PLACE_M),
        )
    except RuntimeError:  # "Singular 6x6 linear system detected, tracking failed."
        return None
    transform = found.transformation.numpy()
    if not np.isfinite(transform).all():
        return None
    # Open3D's share is of all pixels.
    overlap = found.fitness / max(1e-6, float((depth_of(source) > 0).mean()))
    if overlap < AGREEMENT * share_in_sight(source, target, transform):
        return None
    return Motion(transform=transform, overlap=overlap)


def share_in_sight(source: View, target: View, motion: Floats) -> float:
    """The share of a view's pixels with depth that a motion [4, 4] brings onto such pixels of another."""
    near, there = depth_of(source), depth_of(target)
    height, width = near.shape
    start = _GRID // 2
    row, column = (axis.ravel() for axis in np.mgrid[start:height:_GRID, start:width:_GRID])
    row, column = row[near[row, column] > 0], column[near[row, column] > 0]
    z = near[row, column].astype(np.float64)
    fx, fy, cx, cy = source.picture.intrinsics
    x, y, z = motion[:3, :3] @ [(column - cx) / fx * z, (row - cy) / fy * z, z] + motion[:3, 3:]
    z = np.maximum(z, 1e-6)
    across, down = np.rint(x / z * fx + cx), np.rint(y / z * fy + cy)
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    seen = there[down[inside].astype(int), across[inside].astype(int)] > 0
    return float(seen.sum() / max(1, len(row)))


def depth_of(view: View) -> Metres:
    """The depths [H, W] of a view in metres; 0 where there is none, or none that is used."""
    depth = view.picture.depth
    assert depth is not None  # noqa: S101 - the sequence is rgbd
    return np.where(depth <= MAX_DEPTH_M, depth, np.float32(0))


def find_certainty(source: View, target: View, transform: Floats) -> Floats:
    """How certain a motion is in each direction [6, 6], as a pose graph weighs it."""
    import open3d

    return np.asarray(
        open3d.t.pipelines.odometry.compute_odometry_information_matrix(
            source.image.depth,
            target.image.depth,
            source.matrix,
            open3d.core.Tensor(transform),
            SAME_PLACE_M,
            1.0,
            MAX_DEPTH_M,
        ).numpy()
    )
