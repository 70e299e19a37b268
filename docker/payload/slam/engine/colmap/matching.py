"""Which images see the same things."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slam.engine.colmap.project import Project
from slam.progress import attend, say

if TYPE_CHECKING:
    import pycolmap

# All pairs of so few images are matched in less time than a missed loop is worth.
FEW_FRAMES = 30


def choose_matcher(matcher: str, *, is_video: bool, frames: int) -> str:
    """``sequential`` for a long video, ``exhaustive`` for anything else, unless it is chosen already."""
    if matcher != "auto":
        return matcher
    return "sequential" if is_video and frames > FEW_FRAMES else "exhaustive"


def match_features(project: Project, database: pycolmap.Database) -> None:
    """Match the features of image pairs and keep what one geometry explains."""
    import pycolmap

    matcher = choose_matcher(
        project.settings.matcher,
        is_video=project.sequence.is_video,
        frames=len(project.sequence.frames),
    )
    match = pycolmap.match_sequential if matcher == "sequential" else pycolmap.match_exhaustive
    options = pycolmap.FeatureMatchingOptions()
    options.num_threads = project.settings.threads
    geometry = pycolmap.TwoViewGeometryOptions()
    geometry.ransac.random_seed = project.settings.seed
    say(f"matching   {matcher}")
    attend(
        lambda: match(
            project.database,
            matching_options=options,
            verification_options=geometry,
            device=pycolmap.Device.cpu,
        ),
        lambda: f"matching   {database.num_matched_image_pairs():,} pairs",
    )
    matched = database.num_matched_image_pairs()
    # A pair without an inlier has a geometry as well: none.
    verified = sum(count > 0 for count in database.read_two_view_geometry_num_inliers()[1])
    say(f"matching   {matched:,} pairs, {verified:,} of them see the same things")
