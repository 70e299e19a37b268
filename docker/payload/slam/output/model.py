"""COLMAP's files for what an engine without features has found: cameras, images and points without tracks.

https://colmap.github.io/format.html; its numbers are little-endian, and 64 bits wide but where it says so.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from slam.output.camera import Camera
from slam.output.cloud import Cloud, thin
from slam.trajectory import Floats, Trajectory

# COLMAP's numbers of its models.
MODELS = {
    "SIMPLE_PINHOLE": 0,
    "PINHOLE": 1,
    "SIMPLE_RADIAL": 2,
    "RADIAL": 3,
    "OPENCV": 4,
    "OPENCV_FISHEYE": 5,
    "FULL_OPENCV": 6,
    "SIMPLE_RADIAL_FISHEYE": 8,
    "RADIAL_FISHEYE": 9,
}
# What Gaussian splatting begins with; a cloud of all pixels has millions, which nothing that goes on needs.
MOST_POINTS = 200_000
_CAMERA = 1


def write_model(
    folder: Path, camera: Camera, trajectory: Trajectory, names: Sequence[str], cloud: Cloud, *, text: bool
) -> None:
    """Write ``cameras``, ``images`` and ``points3D`` as ``.bin`` and, with ``text``, as ``.txt`` as well.

    Args:
        folder: a new one, which is made.
        camera: that of the images.
        trajectory: the camera's poses.
        names: of the images, one a pose.
        cloud: of its points, at most 200,000 are taken, spread evenly over it.
        text: whether a person shall be able to read it.
    """
    folder.mkdir(parents=True)
    thinned = thin(cloud, MOST_POINTS)
    poses = _from_world(trajectory)
    _write_binary(folder, camera, poses, names, thinned)
    if text:
        _write_text(folder, camera, poses, names, thinned)


def _from_world(trajectory: Trajectory) -> Floats:
    """``qw qx qy qz tx ty tz`` [n, 7] from world to camera."""
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_quat(trajectory.quaternions).inv()
    shifts = -turns.apply(trajectory.positions)
    poses: Floats = np.hstack([np.roll(turns.as_quat(), 1, axis=1), shifts])
    return poses


def _write_binary(folder: Path, camera: Camera, poses: Floats, names: Sequence[str], cloud: Cloud) -> None:
    size = len(camera.parameters)
    (folder / "cameras.bin").write_bytes(
        struct.pack("<QIiQQ", 1, _CAMERA, MODELS[camera.model], camera.width, camera.height)
        + struct.pack(f"<{size}d", *camera.parameters)
    )
    with (folder / "images.bin").open("wb") as file:
        file.write(struct.pack("<Q", len(names)))
        for number, (pose, name) in enumerate(zip(poses, names, strict=True), 1):
            file.write(struct.pack("<I7dI", number, *pose, _CAMERA))
            file.write(name.encode("utf-8", "surrogateescape") + b"\0" + struct.pack("<Q", 0))
    columns = [("id", "<u8"), ("xyz", "<f8", 3), ("rgb", "u1", 3), ("error", "<f8"), ("track", "<u8")]
    points = np.zeros(len(cloud), dtype=columns)
    points["id"] = np.arange(1, len(cloud) + 1)
    points["xyz"], points["rgb"] = cloud.points, cloud.colors
    (folder / "points3D.bin").write_bytes(struct.pack("<Q", len(cloud)) + points.tobytes())


def _write_text(folder: Path, camera: Camera, poses: Floats, names: Sequence[str], cloud: Cloud) -> None:
    parameters = " ".join(f"{value!r}" for value in camera.parameters)
    images = ["# IMAGE_ID QW QX QY QZ TX TY TZ CAMERA_ID NAME, then an empty line: there are no features"]
    for number, (pose, name) in enumerate(zip(poses.tolist(), names, strict=True), 1):
        images += [f"{number} {' '.join(map(repr, pose))} {_CAMERA} {name}", ""]
    points = ["# POINT3D_ID X Y Z R G B ERROR"]
    for number, (xyz, rgb) in enumerate(zip(cloud.points.tolist(), cloud.colors.tolist(), strict=True), 1):
        points.append(f"{number} {' '.join(map(repr, xyz))} {' '.join(map(str, rgb))} 0")
    lines = {
        "cameras.txt": [
            "# CAMERA_ID MODEL WIDTH HEIGHT PARAMS",
            f"{_CAMERA} {camera.model} {camera.width} {camera.height} {parameters}",
        ],
        "images.txt": images,
        "points3D.txt": points,
    }
    for name, rows in lines.items():
        (folder / name).write_text("\n".join(rows) + "\n", encoding="utf-8", errors="surrogateescape")
