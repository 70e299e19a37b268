"""Where the camera, or what carries it, really was: the frames that a truth can be in, and its units."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from slam.dataset import tum
from slam.dataset.euroc import (
    CAMERA_IN_BODY,
    LEFT,
    LEFT_RECTIFICATION,
    RIGHT,
    TUM_VI_TRUTH,
)
from slam.dataset.rig import SENSOR, find_pose, find_turns, read_pose
from slam.dataset.sequence import PLACES, SECONDS, Units
from slam.errors import InputError
from slam.posefile.format import EUROC, KITTI, TARTANAIR
from slam.posefile.posefile import PoseFile
from slam.trajectory import BODY, CAMERA, RAW_CAMERA, Floats, Trajectory


@dataclass(frozen=True, kw_only=True)
class Mount:
    """How the left camera sits in the body: ``pose`` [3, 4] brings points of the camera to the body.

    ``turn`` [3, 3] is the rotation from its axes to those after rectification, where that is known.
    """

    pose: Floats
    turn: Floats | None

    def rotation(self, frame: str) -> Floats:
        """The rotation [3, 3] from a frame's axes to the body's."""
        camera = self.pose[:, :3]
        if frame == CAMERA and self.turn is not None:
            rectified: Floats = camera @ self.turn.T
            return rectified
        return {BODY: np.eye(3), RAW_CAMERA: camera}[frame]

    @property
    def frames(self) -> tuple[str, ...]:
        """The frames that it can turn poses of the body to."""
        return (BODY, RAW_CAMERA) if self.turn is None else (BODY, CAMERA, RAW_CAMERA)


def find_mount(truth: Path) -> Mount | None:
    """How the left camera sits in the body that a truth in EuRoC's layout is of; ``None``: nothing says so.

    By ``T_BS`` in the ``cam0/sensor.yaml`` beside it, else by ``T_cam_imu`` in a camchain of Kalibr's, as
    TUM-VI has it, else EuRoC's published one.

    Raises:
        InputError: there is such a file, and no such matrix in it.
    """
    home = truth.parent.parent
    published = Mount(pose=np.array(CAMERA_IN_BODY), turn=np.array(LEFT_RECTIFICATION.rotation).reshape(3, 3))
    pose = find_pose(home, LEFT)
    if pose is None:
        return None if truth.parent.name == TUM_VI_TRUTH.parent.name else published
    if np.allclose(pose, published.pose, atol=1e-6):
        return published
    other = find_pose(home, RIGHT)
    return Mount(pose=pose, turn=None if other is None else find_turns(pose, other)[0])


def find_marker(truth: Path) -> Floats | None:
    """Where in the body [3, 4] that sits which a truth in EuRoC's layout is of; ``None``: it is the body.

    Beside ``vicon0/data.csv`` lies a ``sensor.yaml`` that says so of the markers.

    Raises:
        InputError: there is such a file, and no such matrix in it.
    """
    path = truth.with_name(SENSOR)
    if not path.is_file():
        return None
    pose = read_pose(path)
    return None if np.allclose(pose, np.eye(4)[:3], atol=1e-9) else pose


def turn_to_body(truth: Trajectory, marker: Floats) -> Trajectory:
    """The poses of what sits at ``marker`` [3, 4] in the body as those of the body."""
    from scipy.spatial.transform import Rotation

    body = Rotation.from_quat(truth.quaternions) * Rotation.from_matrix(marker[:, :3]).inv()
    return replace(
        truth,
        positions=truth.positions - body.apply(marker[:, 3]),
        quaternions=np.asarray(body.as_quat()),
        frame=BODY,
    )


def turn_to(truth: Trajectory, frame: str, mount: Mount | None) -> Trajectory:
    """The poses of the body as those of ``frame``.

    ``camera`` is the left camera after rectification, as DROID-SLAM gets its images; ``raw-camera`` the same
    before it.

    Raises:
        InputError: the rectification, or how the camera sits in the body, is not known.
    """
    from scipy.spatial.transform import Rotation

    if frame == BODY:
        return truth
    if mount is None:
        raise InputError(
            "how the camera sits in the body is not known; give its T_BS in mav0/cam0/sensor.yaml, or "
            "T_cam_imu in a camchain of Kalibr's, or compare with --frame as-is"
        )
    if frame not in mount.frames:
        raise InputError(
            "how this camera's images are rectified is not known, for there is no T_BS of cam1; try --frame "
            "raw-camera"
        )
    body = Rotation.from_quat(truth.quaternions)
    return replace(
        truth,
        positions=truth.positions + body.apply(mount.pose[:, 3]),
        quaternions=np.asarray((body * Rotation.from_matrix(mount.rotation(frame))).as_quat()),
        frame=frame,
    )


def units_of_truth(truth: PoseFile) -> Units:
    """What a truth is measured in: as its format has it, and else by whether its stamps are places."""
    if truth.format in (TARTANAIR, KITTI):
        return Units(length="m", time="place in order")
    is_in_seconds = truth.format == EUROC or tum.holds(truth.path.parent)
    return SECONDS if is_in_seconds or not truth.trajectory.has_places else PLACES
