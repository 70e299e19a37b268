"""``transforms.json``: cameras for nerfstudio, instant-ngp and what else learns a scene from posed images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slam.output.camera import Camera
from slam.output.pose import matrices
from slam.output.results import write_json
from slam.trajectory import Trajectory

IMAGES = "images"
# Cameras look along -z there and have y upwards; COLMAP's, and ours, look along z and have y downwards.
# https://docs.nerf.studio/quickstart/data_conventions.html
_OPENGL = np.diag([1.0, -1.0, -1.0, 1.0])
# instant-ngp's own converter says so of scenes that are not in a box around one object.
_AABB_SCALE = 16


def write_transforms(
    path: Path,
    camera: Camera,
    trajectory: Trajectory,
    files: Sequence[str],
    *,
    cloud: str,
    masks: Sequence[str] = (),
) -> None:
    """Write the poses of images in the trajectory's world.

    Args:
        path: the JSON file to write.
        camera: that of the images.
        trajectory: the camera's poses.
        files: the images, one a pose, relative to the file's folder. instant-ngp takes no others.
        cloud: the point cloud's file beside this one.
        masks: the images' masks, grey and black where nothing is to be looked at, or none at all: nerfstudio
            wants one for each image then.

    Raises:
        ValueError: the format has no words for the camera.
    """
    poses = np.zeros((len(trajectory), 4, 4))
    poses[:, :3] = matrices(trajectory)
    poses[:, 3, 3] = 1
    frames = [
        {"file_path": file, **({"mask_path": mask} if mask else {}), "transform_matrix": pose.tolist()}
        for file, mask, pose in zip(files, masks or [""] * len(files), poses @ _OPENGL, strict=True)
    ]
    write_json(
        path, {**describe(camera), "aabb_scale": _AABB_SCALE, "ply_file_path": cloud, "frames": frames}
    )


def why_not(camera: Camera) -> str | None:
    """What of a camera the format has no words for, if anything."""
    try:
        describe(camera)
    except ValueError as error:
        return str(error)
    return None


def describe(camera: Camera) -> dict[str, object]:
    """A camera by the names that nerfstudio and instant-ngp have for its numbers.

    Raises:
        ValueError: they have none for its model. Their ``k4`` is not the one of OpenCV's rational model.
    """
    named = camera.named()
    is_fisheye = "FISHEYE" in camera.model
    rational = {} if is_fisheye else {name: named.pop(name, 0.0) for name in ("k4", "k5", "k6")}
    if any(rational.values()):
        raise ValueError("the camera's k4, k5 and k6")
    return {
        "camera_model": "OPENCV_FISHEYE" if is_fisheye else "OPENCV",
        "is_fisheye": is_fisheye,
        "w": camera.width,
        "h": camera.height,
        "fl_x": named.pop("fx"),
        "fl_y": named.pop("fy"),
        "cx": named.pop("cx"),
        "cy": named.pop("cy"),
        **named,
    }
