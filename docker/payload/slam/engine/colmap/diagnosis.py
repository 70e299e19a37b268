"""Why images cannot be placed, by what is in COLMAP's database of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from slam.dataset.sequence import FEWEST_FRAMES
from slam.engine.colmap.project import Project

if TYPE_CHECKING:
    import pycolmap

# With fewer features an image can hardly share the 15 with another that COLMAP wants of a pair.
FEW_FEATURES = 50
# So many pairs, from near to far, say how a camera moves.
SAMPLED_PAIRS = 300
# Below the first, noise and motion are not told apart; with less than the second, depth is a guess.
NO_PARALLAX_DEG, LITTLE_PARALLAX_DEG = 0.25, 2.0
# A camera that stands still shakes, and its rolling light flickers; in widths of the image.
STILL_SHARE = 0.005


@dataclass(frozen=True, kw_only=True)
class Diagnosis:
    """Why images could not be placed; ``is_final`` where no other attempt can do better."""

    message: str
    is_final: bool


@dataclass(frozen=True, kw_only=True)
class Motion:
    """How far things move between images of a pair, [n] each.

    ``shifts`` are in pixels, ``angles`` in degrees between the directions from which a pair sees the same
    things; each is the median over the features of a pair.
    """

    shifts: npt.NDArray[np.float64]
    angles: npt.NDArray[np.float64]

    @property
    def widest_shift(self) -> float:
        """That of one pair in twenty, and more."""
        return float(np.percentile(self.shifts, 95))

    @property
    def widest_angle(self) -> float:
        """That of one pair in twenty, and more."""
        return float(np.percentile(self.angles, 95))


def diagnose(project: Project, database: pycolmap.Database) -> Diagnosis:
    """The first cause, from blank images to too little parallax, that the numbers show."""
    features = {
        image.image_id: database.num_keypoints_for_image(image.image_id)
        for image in database.read_all_images()
    }
    blank = sum(count < FEW_FEATURES for count in features.values())
    if len(features) - blank < FEWEST_FRAMES:
        return Diagnosis(message=_describe_blank(project, list(features.values()), blank), is_final=True)
    pairs = read_pairs(database)
    largest = max(map(len, join_images(features, pairs)))
    if largest < FEWEST_FRAMES:
        message = _describe_gaps(len(features), database.num_matched_image_pairs(), len(pairs), largest)
        return Diagnosis(message=message, is_final=True)
    return _diagnose_motion(project, measure_motion(database, pairs), len(pairs))


def _diagnose_motion(project: Project, motion: Motion, pairs: int) -> Diagnosis:
    numbers = (
        f"in the {pairs:,} pairs of images that see the same things, these move by "
        f"{np.median(motion.shifts):.1f} px (median), in the widest by {motion.widest_shift:.1f} px, and are "
        f"seen there from directions {motion.widest_angle:.2f} degrees apart"
    )
    if motion.widest_angle < NO_PARALLAX_DEG:
        if motion.widest_shift < STILL_SHARE * project.sequence.width:
            message = (
                f"the camera stands still: {numbers}; take a part of the recording in which it moves (--t0)"
            )
            return Diagnosis(message=message, is_final=True)
        message = (
            f"the camera turns without moving, or all that it sees is far away: {numbers}; where things are "
            "needs a camera that moves sideways"
        )
        return Diagnosis(message=message, is_final=True)
    if motion.widest_angle < LITTLE_PARALLAX_DEG:
        message = (
            f"the camera moves too little for what it sees: {numbers}, where about {LITTLE_PARALLAX_DEG:g} "
            "are needed; take a longer part of the recording, or a camera that moves further sideways"
        )
        return Diagnosis(message=message, is_final=False)
    message = (
        f"no {FEWEST_FRAMES} of the {len(project.names)} images could be placed together, though they "
        f"overlap: {numbers}; things that move and patterns that repeat can be why, and a calibration of "
        "another camera (try another --matcher, and --refine-camera)"
    )
    return Diagnosis(message=message, is_final=False)


def _describe_blank(project: Project, counts: list[int], blank: int) -> str:
    return (
        f"{blank} of {len(counts)} images have fewer than {FEW_FEATURES} features (median "
        f"{np.median(counts):.0f}); the images are {project.pixels}; they need texture, light and focus"
        f"{project.described_masks}"
    )


def _describe_gaps(images: int, matched: int, verified: int, largest: int) -> str:
    has_all = matched == images * (images - 1) // 2
    other = "" if has_all else ", or compare all with all (--matcher exhaustive)"
    return (
        f"the images do not overlap: {verified} of {matched:,} pairs that were compared see the same things, "
        f"and the largest group of images that these join has {largest} of {images}; take more images of "
        f"what lies between (a smaller --stride){other}"
    )


def read_pairs(database: pycolmap.Database) -> list[tuple[int, int]]:
    """The pairs of images, by COLMAP's numbers, that see the same things."""
    import pycolmap

    numbers, inliers = database.read_two_view_geometry_num_inliers()
    found = zip(numbers, inliers, strict=True)
    return sorted(pycolmap.pair_id_to_image_pair(number) for number, count in found if count > 0)


def join_images(images: Mapping[int, int], pairs: list[tuple[int, int]]) -> list[set[int]]:
    """The groups of images that pairs join."""
    group = {image: {image} for image in images}
    for one, other in pairs:
        if group[one] is not group[other]:
            small, large = sorted((group[one], group[other]), key=len)
            large |= small
            group.update(dict.fromkeys(small, large))
    return list({id(members): members for members in group.values()}.values())


def measure_motion(database: pycolmap.Database, pairs: list[tuple[int, int]]) -> Motion:
    """How the camera moves, by some of the pairs."""
    import pycolmap

    chosen = sorted(pairs, key=lambda pair: pair[1] - pair[0])[:: -(-len(pairs) // SAMPLED_PAIRS)]
    cameras = {camera.camera_id: camera for camera in database.read_all_cameras()}
    images = {image.image_id: image for image in database.read_all_images()}
    shifts, angles = [], []
    for one, other in chosen:
        geometry = database.read_two_view_geometry(one, other)
        places = [np.asarray(database.read_keypoints(image))[:, :2] for image in (one, other)]
        matches = geometry.inlier_matches
        moved = places[0][matches[:, 0]] - places[1][matches[:, 1]]
        shifts.append(np.median(np.linalg.norm(moved, axis=1)))
        first, second = (cameras[images[image].camera_id] for image in (one, other))
        pycolmap.estimate_two_view_geometry_pose(first, places[0], second, places[1], geometry)
        angles.append(np.degrees(max(geometry.tri_angle, 0.0)))
    return Motion(shifts=np.array(shifts), angles=np.array(angles))
