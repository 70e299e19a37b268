"""The qualities of COLMAP's automatic reconstructor, and its settings for video.

Source: ``OptionManager::ModifyForLowQuality`` and so on in COLMAP's src/colmap/controllers/option_manager.cc
(version 4.2), where each value that COLMAP derives from a default is written out here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pycolmap


@dataclass(frozen=True, kw_only=True)
class Quality:
    """What a quality sets: images and features; how many images a place is looked for in; adjustments.

    ``image_size`` is the longer side in pixels. ``loop_images`` and ``alike_images`` are how many similar
    images each one is compared with, for loops and without an order, and ``words`` the features of each that
    this similarity is judged by (-1: all). ``local`` and ``whole`` are the most iterations of an adjustment
    of some images and of all; -1 is COLMAP's default.
    """

    image_size: int = 3200
    features: int = 8192
    affine: bool = False
    pooled: bool = False
    guided: bool = False
    loop_images: int = 50
    alike_images: int = 100
    words: int = -1
    local: int = -1
    local_rounds: int = 2
    whole: int = -1
    whole_rounds: int = 5
    growth: float = 1.0


QUALITY = {
    None: Quality(),
    "low": Quality(
        image_size=1000, features=2048, loop_images=25, alike_images=50, words=256,
        local=12, whole=25, whole_rounds=2, growth=1.2,
    ),
    "medium": Quality(
        image_size=1600, features=4096, loop_images=33, alike_images=66, words=1024,
        local=16, whole=33, whole_rounds=2, growth=1.1,
    ),
    "high": Quality(
        image_size=2400, affine=True, guided=True, words=4096, local=30, local_rounds=3, whole=75
    ),
    "extreme": Quality(affine=True, pooled=True, guided=True, local=40, local_rounds=3, whole=100),
}  # fmt: skip


def set_extraction(options: pycolmap.FeatureExtractionOptions, quality: Quality) -> None:
    """Say which features are looked for."""
    options.max_image_size = quality.image_size
    options.sift.max_num_features = quality.features
    options.sift.estimate_affine_shape = quality.affine
    options.sift.domain_size_pooling = quality.pooled


def set_mapping(options: pycolmap.IncrementalPipelineOptions, quality: Quality, *, is_video: bool) -> None:
    """Say how often, and for how long, poses and points are adjusted."""
    options.ba_local_max_num_iterations = quality.local
    options.ba_local_max_refinements = quality.local_rounds
    options.ba_global_max_num_iterations = quality.whole
    options.ba_global_max_refinements = quality.whole_rounds
    # By default COLMAP takes a camera with a coefficient above 1 for wrong, and its images out; that of TUM's
    # fr1 has k3 = 1.16. As the automatic reconstructor has it for video and one's own photographs: any.
    options.max_extra_param = 1e9
    if is_video:
        options.mapper.init_min_tri_angle /= 2
        options.ba_global_frames_ratio = options.ba_global_points_ratio = 1.4
    options.ba_global_frames_ratio *= quality.growth
    options.ba_global_points_ratio *= quality.growth
