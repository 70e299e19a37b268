"""How the cameras of a rig sit in its body, by the files of EuRoC's layout and of Kalibr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slam.dataset.calibration.document import parse_yaml
from slam.dataset.camera import HALF_PIXEL, Intrinsics
from slam.dataset.geometry import Rectification
from slam.dataset.sequence import Numbers
from slam.errors import InputError

# TUM-VI's folder beside mav0, with a camchain in it.
CAMCHAIN_FOLDER = "dso"
SENSOR = "sensor.yaml"


def read_pose(path: Path) -> Numbers:
    """``T_BS`` [3, 4] of a ``sensor.yaml``: it brings points of the sensor to the body.

    Raises:
        InputError: it has none.
    """
    try:
        found: Any = parse_yaml(path.read_text(encoding="utf-8"))
        pose: Numbers = np.array(found["T_BS"]["data"], float).reshape(4, 4)[:3]
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: no T_BS with the 16 numbers of a matrix in it ({error})") from error
    return pose


def find_pose(home: Path, camera: str) -> Numbers | None:
    """``cam0`` or ``cam1`` in the body [3, 4], by its ``sensor.yaml`` in ``mav0``, else by a camchain.

    Raises:
        InputError: there is a ``sensor.yaml``, and no such matrix in it.
    """
    path = home / camera / SENSOR
    return read_pose(path) if path.is_file() else find_camchain(home, camera)


def find_camchain(home: Path, camera: str = "cam0") -> Numbers | None:
    """A camera in the body [3, 4], by the first camchain near ``mav0`` that has its ``T_cam_imu``."""
    for folder in (home, home.parent, home.parent / CAMCHAIN_FOLDER):
        for path in sorted(folder.glob("*camchain*.yaml")):
            try:
                found: Any = parse_yaml(path.read_text(encoding="utf-8"))
                in_camera = np.array(found[camera]["T_cam_imu"], float).reshape(4, 4)
                pose: Numbers = np.linalg.inv(in_camera)[:3]
            except (OSError, KeyError, TypeError, ValueError, np.linalg.LinAlgError):
                continue
            return pose
    return None


def find_turns(left: Numbers, right: Numbers) -> tuple[Numbers, Numbers]:
    """The rotations [3, 3] from each camera's axes to those in which both look the same way, side by side.

    They are OpenCV's, of ``cv2.stereoRectify``: each camera turns by half of what is between them, and both
    then so that x leads from the left to the right one.

    Args:
        left: the left camera in the body [3, 4].
        right: the other one.
    """
    from scipy.spatial.transform import Rotation

    between = Rotation.from_matrix(right[:, :3].T @ left[:, :3])
    half = Rotation.from_rotvec(-between.as_rotvec() / 2)
    across = half.apply(right[:, :3].T @ (left[:, 3] - right[:, 3]))
    goal = np.array([np.sign(across[0]) or 1.0, 0, 0])
    axis = np.cross(across, goal)
    length = float(np.linalg.norm(axis))
    angle = float(np.arccos(np.clip(abs(across[0]) / np.linalg.norm(across), 0, 1)))
    level = Rotation.from_rotvec(axis / length * angle if length else np.zeros(3))
    return (level * half.inv()).as_matrix(), (level * half).as_matrix()


def rectify(
    cameras: tuple[Intrinsics, Intrinsics], poses: tuple[Numbers, Numbers], size: tuple[int, int], place: Path
) -> tuple[Rectification, Rectification]:
    """How a pair's images of ``size`` (width, height) are turned, and the pinhole camera that both become.

    Its focal length is the mean of theirs, and its middle is what is between their middles.

    Raises:
        InputError: the cameras do not stand side by side, the left one first; ``place`` is for the message.
    """
    x, y, z = poses[0][:, :3].T @ (poses[1][:, 3] - poses[0][:, 3])
    if x < max(abs(y), abs(z)):
        raise InputError(
            f"{place}: cam1 is {x:.3f} m to the right of cam0, {y:.3f} below and {z:.3f} ahead of it, and a "
            "pair has its second camera at the right; call the left camera cam0, or leave --stereo out"
        )
    turns = find_turns(*poses)
    focal = float(np.mean([(camera.fx, camera.fy) for camera in cameras]))
    middle = np.array(size) / 2
    places = []
    for camera, turn in zip(cameras, turns, strict=True):
        seen = (middle - [camera.cx, camera.cy]) / [camera.fx, camera.fy]
        ray = turn @ [*seen, 1.0]
        places.append(middle - focal * ray[:2] / ray[2])
    cx, cy = np.mean(places, axis=0)
    pinhole = Intrinsics(fx=focal, fy=focal, cx=float(cx), cy=float(cy), middle_px=HALF_PIXEL)
    left, right = (Rectification(rotation=tuple(turn.ravel().tolist()), camera=pinhole) for turn in turns)
    return left, right
