"""The images without their lens's distortion, for programs that know pinhole cameras only."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from slam.dataset.mask import read_mask, write_mask
from slam.engine.colmap.model import read_camera
from slam.engine.colmap.project import Project
from slam.engine.estimate import Estimate
from slam.errors import ReconstructionError
from slam.output import results
from slam.output.cloud import write_cloud
from slam.output.nerf import IMAGES, write_transforms
from slam.output.undistortion import JPEG_QUALITY, name_masks, straight_name
from slam.progress import attend, say

_MIDDLE = 127


def undistort(project: Project, found: Estimate, model: Path, folder: Path) -> None:
    """Write images, model, ``transforms.json`` and cloud to ``folder``, laid out for Gaussian splatting.

    Args:
        project: the images.
        found: what the model says.
        model: the folder of COLMAP's files.
        folder: a new one.

    Raises:
        ReconstructionError: COLMAP has left an image out.
    """
    import pycolmap

    names = _name_straight(project, model)
    say(f"undistort  {len(found.trajectory)} images")
    attend(
        lambda: pycolmap.undistort_images(
            folder,
            project.images.with_name("named_model"),
            project.images.with_name("named"),
            jpeg_quality=JPEG_QUALITY,
            num_threads=project.settings.threads,
        ),
        lambda: None,
    )
    _tidy(folder)
    taken = [names[frame] for frame in found.places]
    # COLMAP passes over what it cannot read or write.
    if lost := [name for name in taken if not (folder / IMAGES / name).is_file()]:
        raise ReconstructionError(f"COLMAP has not undistorted {len(lost)} images, {lost[0]} among them")
    straight = pycolmap.Reconstruction(folder / results.MODELS / "0")
    if project.settings.exports.colmap_text:
        straight.write_text(folder / results.MODELS / "0")
    write_transforms(
        folder / results.TRANSFORMS,
        read_camera(straight),
        found.trajectory,
        [f"{IMAGES}/{name}" for name in taken],
        cloud=results.CLOUD,
        masks=_undistort_masks(project, found, model, taken, folder),
    )
    write_cloud(folder / results.CLOUD, found.cloud)


def _undistort_masks(
    project: Project, found: Estimate, model: Path, names: list[str], folder: Path
) -> list[str]:
    """Write the masks of the frames that are placed; their names in ``folder``, none where there are none."""
    import pycolmap

    if project.masks is None:
        return []
    (camera,) = pycolmap.Reconstruction(model).cameras.values()
    masks = name_masks(names)
    for frame, name in zip(found.places, masks, strict=True):
        mask = read_mask(project.masks / f"{project.names[frame]}.png", (camera.width, camera.height))
        straight, _ = pycolmap.undistort_image(
            pycolmap.UndistortCameraOptions(), pycolmap.Bitmap.from_array(mask), camera
        )
        # Between black and white it has mixed them.
        write_mask(np.where(straight.to_array() > _MIDDLE, 255, 0).astype(np.uint8), folder / name)
    return masks


def _name_straight(project: Project, model: Path) -> list[str]:
    """Lay out images and model under the names that the undistorted images get; these, for all frames."""
    import pycolmap

    named, renamed = project.images.with_name("named"), pycolmap.Reconstruction(model)
    names = []
    for link, name in zip(project.names, project.sequence.image_names, strict=True):
        # What was made upright or brought to 8 bits is a PNG file.
        taken = project.images / link
        names.append(straight_name(name) if taken.is_symlink() else f"{name}.png")
        (named / names[-1]).parent.mkdir(parents=True, exist_ok=True)
        (named / names[-1]).symlink_to(taken.resolve())
    straight = dict(zip(project.sequence.image_names, names, strict=True))
    for number in renamed.reg_image_ids():
        renamed.image(number).name = straight[renamed.image(number).name]
    place = project.images.with_name("named_model")
    place.mkdir()
    renamed.write_binary(place)
    return names


def _tidy(folder: Path) -> None:
    """Leave images and model; what COLMAP's own stereo needs besides, its first step writes again."""
    model = folder / results.MODELS / "0"
    model.mkdir()
    for file in (folder / results.MODELS).glob("*.bin"):
        file.rename(model / file.name)
    for path in folder.iterdir():
        if path.name not in (IMAGES, results.MODELS):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
