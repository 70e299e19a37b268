"""Poses in the formats that other programs read."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

import numpy as np

from slam.output.camera import Camera
from slam.output.results import replacing
from slam.trajectory import Floats, Trajectory

COLUMNS = ("frame", "image", "timestamp", "placed", "model", "tx", "ty", "tz", "qx", "qy", "qz", "qw")
# EuRoC's ground truth without the velocity and the biases that follow there.
EUROC = "#timestamp [ns],p_x [m],p_y [m],p_z [m],q_w [],q_x [],q_y [],q_z []"


def matrices(trajectory: Trajectory) -> Floats:
    """The poses as matrices [n, 3, 4], camera to world."""
    from scipy.spatial.transform import Rotation

    turns = Rotation.from_quat(trajectory.quaternions).as_matrix()
    poses: Floats = np.concatenate([turns, trajectory.positions[:, :, None]], axis=2)
    return poses


def poses_of_files(trajectory: Trajectory, camera: Camera) -> Trajectory:
    """The poses of the camera that took the files, where the trajectory's camera is a rectified one."""
    if camera.turn is None:
        return trajectory
    from scipy.spatial.transform import Rotation

    turned = Rotation.from_quat(trajectory.quaternions) * Rotation.from_matrix(
        np.reshape(camera.turn, (3, 3))
    )
    return replace(trajectory, quaternions=turned.as_quat())


def write_kitti(path: Path, trajectory: Trajectory) -> None:
    """Write twelve numbers a pose, the matrix [3, 4] from camera to world row by row, and no timestamps.

    https://www.cvlibs.net/datasets/kitti/eval_odometry.php
    """
    _write(path, (" ".join(f"{value:.12g}" for value in pose.ravel()) for pose in matrices(trajectory)))


def write_euroc(path: Path, trajectory: Trajectory) -> None:
    """Write ``timestamp,x,y,z,qw,qx,qy,qz`` a pose, timestamps in nanoseconds, and whose poses they are."""
    rows = np.hstack([trajectory.positions, np.roll(trajectory.quaternions, 1, axis=1)])
    lines = [EUROC]
    if trajectory.frame is not None:
        lines.append(f"# frame: {trajectory.frame}")
    for stamp, row in zip(trajectory.stamps, rows, strict=True):
        nanoseconds = int(Decimal(stamp).scaleb(9).to_integral_value())
        lines.append(",".join([str(nanoseconds), *(f"{value:.12g}" for value in row)]))
    _write(path, lines)


def write_poses(
    path: Path,
    trajectory: Trajectory,
    *,
    names: Sequence[str],
    stamps: Sequence[str],
    placed: Sequence[int],
    models: Mapping[int, int],
) -> None:
    """Write a row for each frame of a sequence, with a header; frames that are not placed have no pose.

    Args:
        path: the CSV file to write.
        trajectory: the poses of the frames ``placed``.
        names: of all images.
        stamps: of all images.
        placed: which frames the trajectory has.
        models: the number of the model that a frame is in, by the frame; it may be another than the first,
            which is the trajectory's.
    """
    rows = np.hstack([trajectory.positions, trajectory.quaternions])
    poses = dict(zip(placed, rows, strict=True))
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(COLUMNS)
    for frame, (name, stamp) in enumerate(zip(names, stamps, strict=True)):
        pose = [f"{value:.9f}" for value in poses[frame]] if frame in poses else [""] * 7
        is_placed = "yes" if frame in poses else "no"
        table.writerow([frame, name, stamp, is_placed, models.get(frame, ""), *pose])
    with replacing(path) as part:
        # A file's name need not be Unicode.
        part.write_bytes(text.getvalue().encode("utf-8", "surrogateescape"))


def _write(path: Path, lines: Iterable[str]) -> None:
    with replacing(path) as part:
        part.write_text("\n".join(lines) + "\n", encoding="utf-8")
