"""Which images see the same things."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slam.dataset.files import are_numbered
from slam.engine.colmap.project import Project
from slam.engine.colmap.vocabulary import build_vocabulary
from slam.progress import attend, say

if TYPE_CHECKING:
    import pycolmap

# All pairs of so few images are matched in less time than a missed loop is worth.
FEW_FRAMES = 30
# From so many on, COLMAP's automatic reconstructor looks for those that are alike.
MANY_FRAMES = 200
# A hand that slips or a wall without texture tears a video in a few places, and it still is one.
VIDEO_SHARE = 0.9


def match_features(project: Project, database: pycolmap.Database) -> str:
    """Match the features of image pairs, keep what one geometry explains; which matcher that was."""
    matcher = choose_matcher(project, database)
    loops = matcher == "sequential" and project.options.loops and len(project.names) > FEW_FRAMES
    say(f"matching   {matcher}{' with loops' if loops else ''}")
    if matcher == "sequential":
        match_sequence(project, database, loops=loops)
    elif matcher == "vocabtree":
        match_alike(project, database)
    else:
        _match(project, database, "match_exhaustive", None)
    matched, verified = count_pairs(database)
    say(f"matching   {matched:,} pairs, {verified:,} of them see the same things")
    return matcher


def choose_matcher(project: Project, database: pycolmap.Database) -> str:
    """What was asked for, else ``exhaustive`` for few images, and ``sequential`` for a video.

    That of a dataset which is a video says so. Images in a plain folder are one if their names are numbered
    and neighbours see the same things; so these pairs are matched first, which any matcher would do as well.
    """
    frames = len(project.names)
    if project.options.matcher != "auto":
        return project.options.matcher
    if frames <= FEW_FRAMES:
        return "exhaustive"
    if project.sequence.is_video or _is_like_video(project, database):
        return "sequential"
    return "vocabtree" if frames >= MANY_FRAMES else "exhaustive"


def _is_like_video(project: Project, database: pycolmap.Database) -> bool:
    if not are_numbered([frame.image for frame in project.sequence.frames]):
        return False
    match_sequence(project, database, loops=False, neighbours=1)
    pairs = len(project.names) - 1
    verified = count_pairs(database)[1]
    is_video = verified >= VIDEO_SHARE * pairs
    what = "a video" if is_video else "no video"
    say(f"matching   {verified} of {pairs} neighbours see the same things: taken for {what}")
    return is_video


def match_sequence(
    project: Project, database: pycolmap.Database, *, loops: bool, neighbours: int | None = None
) -> None:
    """Match each image with those 1, 2, 4 … 512 places on; with ``loops``, some with what looks alike."""
    import pycolmap

    pairing = pycolmap.SequentialPairingOptions()
    pairing.num_threads = project.settings.threads
    pairing.overlap = neighbours or pairing.overlap
    if loops:
        pairing.loop_detection = True
        pairing.loop_detection_num_images = project.quality.loop_images
        pairing.loop_detection_max_num_features = project.quality.words
        # Those nearer are matched anyway.
        pairing.loop_detection_min_index_distance = 2 * pairing.loop_detection_period
        pairing.vocab_tree_path = build_vocabulary(project, database)
    _match(project, database, "match_sequential", pairing)


def match_alike(project: Project, database: pycolmap.Database) -> None:
    """Match each image with those that look most like it."""
    import pycolmap

    pairing = pycolmap.VocabTreePairingOptions()
    pairing.num_threads = project.settings.threads
    pairing.num_images = project.quality.alike_images
    pairing.max_num_features = project.quality.words
    pairing.vocab_tree_path = build_vocabulary(project, database)
    _match(project, database, "match_vocabtree", pairing)


def _match(project: Project, database: pycolmap.Database, name: str, pairing: object | None) -> None:
    """Run one of COLMAP's matchers; pairs that have been matched are left as they are."""
    import pycolmap

    options = pycolmap.FeatureMatchingOptions()
    options.num_threads = project.settings.threads
    # As in COLMAP's automatic reconstructor: the global mapper wants fewer and surer pairs.
    is_global = project.options.mapper == "global"
    options.guided_matching = project.quality.guided and not is_global
    geometry = pycolmap.TwoViewGeometryOptions()
    geometry.ransac.random_seed = project.settings.seed
    if is_global:
        geometry.ransac.max_error = 1.0
        geometry.min_num_inliers = 30
        geometry.min_inlier_ratio = 0.25
    match = getattr(pycolmap, name)
    attend(
        lambda: match(
            project.database,
            matching_options=options,
            verification_options=geometry,
            device=pycolmap.Device.cpu,
            **({} if pairing is None else {"pairing_options": pairing}),
        ),
        lambda: f"matching   {database.num_matched_image_pairs():,} pairs",
    )


def count_pairs(database: pycolmap.Database) -> tuple[int, int]:
    """How many pairs were matched, and how many of them see the same things."""
    # A pair without an inlier has a geometry as well: none.
    verified = sum(count > 0 for count in database.read_two_view_geometry_num_inliers()[1])
    return int(database.num_matched_image_pairs()), verified
