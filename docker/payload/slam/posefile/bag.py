"""Poses in ROS bags, read by evo and ``rosbags``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from slam.errors import InputError
from slam.posefile.format import Format
from slam.posefile.order import Row

if TYPE_CHECKING:
    from rosbags.rosbag1 import Reader as Reader1
    from rosbags.rosbag2 import Reader as Reader2

BAG = Format(name="ROS bag", expected="messages with poses", width=8, columns=(0, 1, 2, 3, 4, 5, 6))
_MCAP = b"\x89MCAP0\r\n"
_MAGIC = (b"#ROSBAG V2", _MCAP)


def is_bag(path: Path) -> bool:
    """Whether a file or folder is a bag of ROS 1 or 2, by how it begins or by its ``metadata.yaml``."""
    if path.is_dir():
        return (path / "metadata.yaml").is_file()
    return _begin(path).startswith(_MAGIC)


def read_bag(path: Path, topic: str | None) -> list[Row]:
    """The poses of one topic at the times in their headers: PoseStamped, Odometry and so on.

    ``topic`` may be left out where only one has poses. Transforms are named as in evo: ``/tf:map.base_link``.

    Raises:
        InputError: the bag cannot be read, or has no such topic, or several.
    """
    try:
        from evo.tools import file_interface
    except ImportError as error:
        raise InputError(
            f"{path}: {error}; reading a bag needs rosbags: build the image again, or `pip install rosbags`"
        ) from error
    try:
        with _open(path) as reader:
            chosen = topic or _only_topic(path, file_interface.get_supported_topics(reader))
            poses = file_interface.read_bag_trajectory(reader, chosen)
    except InputError:
        raise
    except Exception as error:  # a damaged bag fails in many ways, each with its own exception
        raise InputError(
            f"{path}: {error}; where the bag is broken, `rosbag reindex` or `ros2 bag reindex` may repair it"
        ) from error
    quaternions = np.roll(poses.orientations_quat_wxyz, -1, axis=1)
    table = np.hstack([poses.positions_xyz, quaternions]).tolist()
    return [
        Row(number=number, stamp=repr(float(time)), values=row)
        for number, (time, row) in enumerate(zip(poses.timestamps, table, strict=True), 1)
    ]


def _open(path: Path) -> Reader1 | Reader2:
    from rosbags.rosbag1 import Reader as Reader1
    from rosbags.rosbag2 import Reader as Reader2

    return Reader2(path) if path.is_dir() or _begin(path).startswith(_MCAP) else Reader1(path)


def _begin(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(16)
    except OSError:
        return b""


def _only_topic(path: Path, topics: list[str]) -> str:
    if len(topics) == 1:
        return topics[0]
    listed = f"poses in the topics {', '.join(topics)}" if topics else "no topic with poses"
    raise InputError(
        f"{path}: it has {listed}; name one with --estimate-topic or --groundtruth-topic (a transform as "
        "/tf:map.base_link)"
    )
