"""What COLMAP's model says, in the words of all engines."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from slam.dataset.sequence import Sequence
from slam.engine.estimate import Estimate
from slam.output.camera import Camera
from slam.output.cloud import Cloud
from slam.trajectory import Trajectory

if TYPE_CHECKING:
    import pycolmap


def read_model(model: pycolmap.Reconstruction, sequence: Sequence) -> Estimate:
    """The trajectory and the cloud of a COLMAP model, frames in their order."""
    import pycolmap

    images = sorted((model.image(number) for number in model.reg_image_ids()), key=lambda image: image.name)
    poses = [image.cam_from_world().inverse() for image in images]
    points = list(model.points3D.values())
    (camera,) = model.cameras.values()
    return Estimate(
        trajectory=Trajectory(
            stamps=tuple(sequence.frames[int(image.name.partition(".")[0])].stamp for image in images),
            positions=np.array([pose.translation for pose in poses]),
            quaternions=np.array([pose.rotation.quat for pose in poses]),
        ),
        cloud=Cloud(
            points=np.array([point.xyz for point in points]).reshape(-1, 3),
            colors=np.array([point.color for point in points], dtype=np.uint8).reshape(-1, 3),
        ),
        mean_reprojection_error_px=model.compute_mean_reprojection_error(),
        versions={"pycolmap": pycolmap.__version__, "colmap": pycolmap.COLMAP_version},
        camera=Camera(
            model=camera.model_name,
            parameters=tuple(map(float, camera.params)),
            width=camera.width,
            height=camera.height,
        ),
    )
