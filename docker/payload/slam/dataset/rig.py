"""How the cameras of a rig sit in its body, by the files of EuRoC's layout and of Kalibr."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from slam.dataset.calibration.document import parse_yaml
from slam.dataset.sequence import Numbers
from slam.errors import InputError

# TUM-VI's folder beside mav0, with a camchain in it.
CAMCHAIN_FOLDER = "dso"


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


def find_camchain(home: Path) -> Numbers | None:
    """The left camera in the body [3, 4], by the first camchain near ``mav0`` that has ``T_cam_imu``."""
    for folder in (home, home.parent, home.parent / CAMCHAIN_FOLDER):
        for path in sorted(folder.glob("*camchain*.yaml")):
            try:
                found: Any = parse_yaml(path.read_text(encoding="utf-8"))
                in_camera = np.array(found["cam0"]["T_cam_imu"], float).reshape(4, 4)
                pose: Numbers = np.linalg.inv(in_camera)[:3]
            except (OSError, KeyError, TypeError, ValueError, np.linalg.LinAlgError):
                continue
            return pose
    return None
