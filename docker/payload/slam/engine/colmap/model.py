"""COLMAP's models: what they say in the words of all engines, and their files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slam.engine.colmap.project import Project
from slam.engine.estimate import Estimate
from slam.output import results
from slam.output.camera import Camera
from slam.output.cloud import Cloud
from slam.trajectory import Trajectory

if TYPE_CHECKING:
    import pycolmap


def read_models(models: Sequence[pycolmap.Reconstruction], project: Project) -> Estimate:
    """The trajectory and the cloud of the first model, and which frames the others have."""
    import pycolmap

    first = models[0]
    frames, *parts = (place_images(model, project) for model in models)
    poses = [first.image(number).cam_from_world().inverse() for number in frames.values()]
    points = list(first.points3D.values())
    return Estimate(
        trajectory=Trajectory(
            stamps=tuple(project.sequence.frames[frame].stamp for frame in frames),
            positions=np.array([pose.translation for pose in poses]),
            quaternions=np.array([pose.rotation.quat for pose in poses]),
        ),
        cloud=Cloud(
            points=np.array([point.xyz for point in points]).reshape(-1, 3),
            colors=np.array([point.color for point in points], dtype=np.uint8).reshape(-1, 3),
        ),
        mean_reprojection_error_px=first.compute_mean_reprojection_error(),
        versions={"pycolmap": pycolmap.__version__, "colmap": pycolmap.COLMAP_version},
        camera=read_camera(first),
        frames=tuple(frames),
        parts=tuple(tuple(part) for part in parts),
        facts={
            "models": [describe(model, number) for number, model in enumerate(models)],
            # Links are the dataset's own files.
            "images_copied": sum(not (project.images / name).is_symlink() for name in project.names),
        },
    )


def place_images(model: pycolmap.Reconstruction, project: Project) -> dict[int, int]:
    """The places in the sequence of a model's frames, in their order, and COLMAP's number of each image."""
    places = {name: place for place, name in enumerate(project.names)}
    found = {places[model.image(number).name]: number for number in model.reg_image_ids()}
    return dict(sorted(found.items()))


def read_camera(model: pycolmap.Reconstruction) -> Camera:
    """The one camera of a model."""
    (camera,) = model.cameras.values()
    return Camera(
        model=camera.model_name,
        parameters=tuple(map(float, camera.params)),
        width=camera.width,
        height=camera.height,
    )


def describe(model: pycolmap.Reconstruction, number: int) -> dict[str, object]:
    """What the summary says of a model."""
    return {
        "folder": f"{results.MODELS}/{number}",
        "frames": model.num_reg_images(),
        "points": model.num_points3D(),
        "mean_reprojection_error_px": model.compute_mean_reprojection_error(),
    }


def write_models(models: Sequence[pycolmap.Reconstruction], project: Project, folder: Path) -> None:
    """Write models to the folders 0, 1 and so on, as COLMAP does, but with the dataset's names of images."""
    names = project.sequence.image_names
    for number, model in enumerate(models):
        for frame, image in place_images(model, project).items():
            model.image(image).name = names[frame]
        place = folder / str(number)
        place.mkdir(parents=True)
        model.write_binary(place)
        if project.settings.exports.colmap_text:
            model.write_text(place)
