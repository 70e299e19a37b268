"""Where the images were taken from."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING

from slam.dataset.sequence import FEWEST_FRAMES
from slam.engine.colmap.project import Project
from slam.engine.colmap.quality import set_mapping
from slam.progress import attend

if TYPE_CHECKING:
    import pycolmap


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """A way to place the images.

    ``is_relaxed`` takes a first pair, and points, that are seen from directions less far apart than COLMAP
    wants, and a first pair along which the camera moves ahead. ``seed`` is added to the one asked for.
    ``refines_camera`` adjusts focal length and distortion with the poses. ``limit_s`` ends the search of the
    incremental mapper.
    """

    name: str
    mapper: str
    refines_camera: bool
    is_relaxed: bool = False
    seed: int = 0
    limit_s: int | None = None


def map_images(project: Project, attempt: Attempt) -> list[pycolmap.Reconstruction]:
    """The models of three images and more that come out, the largest first."""
    models = project.database.with_name("models")
    shutil.rmtree(models, ignore_errors=True)
    models.mkdir()
    mapper = _map_at_once if attempt.mapper == "global" else _map_one_by_one
    found = mapper(project, attempt)
    # Of two that are as large, the one that COLMAP made first.
    ordered = sorted(found.values(), key=lambda model: -model.num_reg_images())
    return [model for model in ordered if model.num_reg_images() >= FEWEST_FRAMES]


def _map_one_by_one(project: Project, attempt: Attempt) -> dict[int, pycolmap.Reconstruction]:
    import pycolmap

    placed = 0

    def begin() -> None:
        nonlocal placed
        placed = 2

    def place() -> None:
        nonlocal placed
        placed += 1

    return attend(
        lambda: pycolmap.incremental_mapping(
            project.database,
            project.images,
            project.database.with_name("models"),
            options=incremental_options(project, attempt),
            initial_image_pair_callback=begin,
            next_image_callback=place,
        ),
        lambda: f"mapping    registered {placed}" if placed else None,
    )


def _map_at_once(project: Project, attempt: Attempt) -> dict[int, pycolmap.Reconstruction]:
    """Place all images together: GLOMAP, of Pan et al., "Global structure-from-motion revisited" (2024)."""
    import pycolmap

    def work() -> dict[int, pycolmap.Reconstruction]:
        if attempt.refines_camera:
            # It takes the focal length for nearly right, so this is found first, from the pairs alone.
            calibration = pycolmap.ViewGraphCalibrationOptions()
            calibration.random_seed = project.settings.seed + attempt.seed
            pycolmap.calibrate_view_graph(project.database, calibration)
        return pycolmap.global_mapping(
            project.database,
            project.images,
            project.database.with_name("models"),
            options=global_options(project, attempt),
        )

    return attend(work, lambda: "mapping    all images at once")


def incremental_options(project: Project, attempt: Attempt) -> pycolmap.IncrementalPipelineOptions:
    """COLMAP's, with small models allowed, seeds set, and a known camera left alone."""
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size = FEWEST_FRAMES
    options.num_threads = project.settings.threads
    options.max_runtime_seconds = attempt.limit_s or -1
    for part in (options, options.mapper, options.triangulation):
        part.random_seed = project.settings.seed + attempt.seed
    set_mapping(options, project.quality, is_video=project.sequence.is_video)
    if attempt.is_relaxed:
        # COLMAP itself halves both, twice, where it finds no first pair.
        options.mapper.init_min_tri_angle = 4
        options.mapper.init_min_num_inliers = 50
        options.mapper.init_max_forward_motion = 1.0
        options.mapper.filter_min_tri_angle = options.triangulation.min_angle = 0.4
    if not attempt.refines_camera:
        options.ba_refine_focal_length = False
        options.ba_refine_extra_params = False
        options.mapper.abs_pose_refine_focal_length = False
        options.mapper.abs_pose_refine_extra_params = False
    return options


def global_options(project: Project, attempt: Attempt) -> pycolmap.GlobalPipelineOptions:
    """COLMAP's, with the seed set, and a known camera left alone."""
    import pycolmap

    options = pycolmap.GlobalPipelineOptions()
    options.min_model_size = FEWEST_FRAMES
    options.num_threads = project.settings.threads
    options.random_seed = project.settings.seed + attempt.seed
    options.mapper.global_positioning.use_gpu = False
    options.mapper.bundle_adjustment.ceres.use_gpu = False
    options.mapper.bundle_adjustment.refine_focal_length = attempt.refines_camera
    options.mapper.bundle_adjustment.refine_extra_params = attempt.refines_camera
    return options
