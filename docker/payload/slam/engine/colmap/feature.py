"""SIFT features in all images, and the camera that took them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from slam.engine.colmap.project import Project
from slam.engine.colmap.quality import set_extraction
from slam.errors import InputError, ReconstructionError
from slam.output.camera import camera_of
from slam.progress import attend, say

if TYPE_CHECKING:
    import pycolmap


def extract_features(project: Project, database: pycolmap.Database) -> None:
    """Find SIFT features in all images."""
    import pycolmap

    reader = pycolmap.ImageReaderOptions()
    if project.masks is not None:
        reader.mask_path = project.masks
    known = camera_of(project.sequence)
    if known is not None:
        camera = pycolmap.Camera(
            model=known.model,
            params=known.parameters,
            width=known.width,
            height=known.height,
            has_prior_focal_length=True,
        )
        reader.existing_camera_id = database.write_camera(camera)
    single = pycolmap.CameraMode.SINGLE
    # Importing first gives each image its id by name; extraction alone numbers them as threads finish.
    pycolmap.import_images(project.database, project.images, camera_mode=single, options=reader)
    ids = {image.name: image.image_id for image in database.read_all_images()}
    require_images(project, set(ids))
    options = pycolmap.FeatureExtractionOptions()
    options.num_threads = project.settings.threads
    set_extraction(options, project.quality)
    options.max_image_size = project.settings.max_image_size or project.quality.image_size
    attend(
        lambda: pycolmap.extract_features(
            project.database,
            project.images,
            camera_mode=single,
            reader_options=reader,
            extraction_options=options,
            device=pycolmap.Device.cpu,
        ),
        lambda: f"features   {sum(map(database.exists_keypoints, ids.values()))}/{len(ids)}",
    )
    require_images(project, {name for name, number in ids.items() if database.exists_keypoints(number)})
    found = int(database.num_keypoints())
    say(f"features   {len(ids)}/{len(ids)}, {found:,} in all")
    if not found:
        raise ReconstructionError(
            f"{project.sequence.name}: there is not one feature in {len(ids)} images, which are "
            f"{project.pixels}; they need texture, light and focus{project.described_masks}"
        )


def require_images(project: Project, names: set[str]) -> None:
    """Make sure that COLMAP, which passes over files that it cannot read, has taken all images.

    Raises:
        InputError: an image is not among ``names``, those of its links.
    """
    for name, frame in zip(project.names, project.sequence.frames, strict=True):
        if name not in names:
            raise InputError(
                f"{frame.image}: COLMAP cannot read this image, whose content may be another format than its "
                "name says; convert it to PNG or JPEG, or take it out"
            )
