"""Where the images were taken from, one after the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slam.dataset.sequence import FEWEST_FRAMES
from slam.engine.colmap.project import Project
from slam.errors import ReconstructionError
from slam.progress import attend, say

if TYPE_CHECKING:
    import pycolmap


def map_images(project: Project) -> list[pycolmap.Reconstruction]:
    """Place the images one after the other; the models that come out, the largest first.

    Raises:
        ReconstructionError: no model has three images.
    """
    import pycolmap

    models = project.database.with_name("models")
    models.mkdir()
    placed = 0

    def begin() -> None:
        nonlocal placed
        placed = 2

    def place() -> None:
        nonlocal placed
        placed += 1

    found = attend(
        lambda: pycolmap.incremental_mapping(
            project.database,
            project.images,
            models,
            options=mapping_options(project),
            initial_image_pair_callback=begin,
            next_image_callback=place,
        ),
        lambda: f"mapping    registered {placed}" if placed else None,
    )
    # Of two that are as large, the one that COLMAP made first.
    ordered = sorted(found.values(), key=lambda model: -model.num_reg_images())
    ample = [model for model in ordered if model.num_reg_images() >= FEWEST_FRAMES]
    if not ample:
        raise ReconstructionError(
            f"{project.sequence.name}: no {FEWEST_FRAMES} of the {len(project.sequence.frames)} images could "
            "be placed together; they need texture, overlap and a camera that moves sideways "
            "(try a smaller --stride)"
        )
    say(f"mapping    registered {ample[0].num_reg_images()} of {len(project.sequence.frames)}")
    return ample


def mapping_options(project: Project) -> pycolmap.IncrementalPipelineOptions:
    """COLMAP's defaults, with small models allowed, seeds set and known intrinsics left alone."""
    import pycolmap

    options = pycolmap.IncrementalPipelineOptions()
    options.min_model_size = FEWEST_FRAMES
    options.num_threads = project.settings.threads
    for part in (options, options.mapper, options.triangulation):
        part.random_seed = project.settings.seed
    if project.sequence.intrinsics is not None:
        options.ba_refine_focal_length = False
        options.ba_refine_extra_params = False
        options.mapper.abs_pose_refine_focal_length = False
        options.mapper.abs_pose_refine_extra_params = False
    return options
