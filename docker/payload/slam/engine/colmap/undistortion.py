"""The images without their lens's distortion, for programs that know pinhole cameras only."""

from __future__ import annotations

import shutil
from pathlib import Path

from slam.engine.colmap.model import read_camera
from slam.engine.colmap.project import Project
from slam.engine.estimate import Estimate
from slam.errors import ReconstructionError
from slam.output import results
from slam.output.cloud import write_cloud
from slam.output.nerf import IMAGES, write_transforms
from slam.progress import attend, say

_JPEG_QUALITY = 95


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

    named = project.images.with_name("named")
    names = project.sequence.image_names
    for link, name in zip(project.names, names, strict=True):
        (named / name).parent.mkdir(parents=True, exist_ok=True)
        (named / name).symlink_to((project.images / link).resolve())
    say(f"undistort  {len(found.trajectory)} images")
    attend(
        lambda: pycolmap.undistort_images(
            folder,
            model,
            named,
            undistort_options=pycolmap.UndistortCameraOptions(),
            jpeg_quality=_JPEG_QUALITY,
            num_threads=project.settings.threads,
        ),
        lambda: None,
    )
    _tidy(folder)
    taken = [names[frame] for frame in found.places]
    # COLMAP passes over what it cannot read or write.
    if lost := [name for name in taken if not (folder / IMAGES / name).is_file()]:
        raise ReconstructionError(f"COLMAP has not undistorted {len(lost)} images, {lost[0]} among them")
    straight = read_camera(pycolmap.Reconstruction(folder / results.MODELS / "0"))
    write_transforms(folder / results.TRANSFORMS, straight, found.trajectory, taken, cloud=results.CLOUD)
    write_cloud(folder / results.CLOUD, found.cloud)


def _tidy(folder: Path) -> None:
    """Leave images and model; what COLMAP's own stereo needs besides, its first step writes again."""
    model = folder / results.MODELS / "0"
    model.mkdir()
    for file in (folder / results.MODELS).glob("*.bin"):
        file.rename(model / file.name)
    for path in folder.iterdir():
        if path.name not in (IMAGES, results.MODELS):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
