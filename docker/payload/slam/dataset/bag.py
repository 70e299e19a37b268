"""A ROS 1 or 2 bag as a sequence: the images of one topic, at the times in their headers.

https://ternaris.gitlab.io/rosbags
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from slam.dataset.calibration.known import require_camera
from slam.dataset.calibration.search import find_camera
from slam.dataset.files import exists, holds_folders, is_bag, list_folder
from slam.dataset.frames import Images, choose, make_sequence
from slam.dataset.geometry import fit_usual_area
from slam.dataset.recording import ENDING
from slam.dataset.sequence import GROUND_TRUTH, SECONDS, Choice, Frame, Sequence, Units
from slam.dataset.topic import Clip, choose_topic, look_through, opened, read_camera
from slam.dataset.tum import require_no_stereo
from slam.errors import InputError

METADATA = "metadata.yaml"
# What evo reads poses of; a wheel's odometry is among them, so that nothing is taken without being named.
_POSES = (
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
    "geometry_msgs/msg/TransformStamped",
    "nav_msgs/msg/Odometry",
)


def holds(place: Path) -> bool:
    """True where a place is a bag, or a folder with one bag's file and no folder but ``masks/`` in it."""
    return find_bag(place) is not None


def find_bag(place: Path) -> Path | None:
    """The bag that a place is, a file or a ROS 2 folder, or the only file of that kind in it."""
    if not place.is_dir():
        return place if is_bag(place) else None
    if exists(place / METADATA):
        return place
    there = [path for path in list_folder(place) if not path.name.startswith(".")]
    bags = [path for path in there if is_bag(path)]
    return bags[0] if len(bags) == 1 and not holds_folders(there) else None


def groundtruth_of(place: Path) -> Path:
    """Where the ground truth of a bag is, if it has one: beside it, or in a ROS 2 bag's folder."""
    return (place if place.is_dir() else place.parent) / GROUND_TRUTH


def open_sequence(place: Path, choice: Choice) -> Sequence:
    """The images of a topic. A timestamp is that of a message's header, in seconds.

    The camera is the one of ``camera_info`` beside the topic, unless a calibration lies beside the bag.

    Raises:
        InputError: no bag can be read, the topic is not there or not clear, or the choice cannot be had.
        SlamError: there is no rosbags.
    """
    require_no_stereo(place, choice)
    if choice.mode == "rgbd":
        raise InputError(f"{place}: depth in a bag is not read; leave --depth out")
    path = find_bag(place) or place
    folder = path if path.is_dir() else path.parent
    with opened(path) as reader:
        topic = choose_topic(reader, choice.topic, path)
        look = look_through(reader, topic, path)
        poses = tuple(name for name, one in sorted(reader.topics.items()) if one.msgtype in _POSES)
        known = find_camera(folder, look.size, choice.top)
        if known.intrinsics is None:
            known = read_camera(reader, topic, look.size, path) or known
    places = _between(look.stamps, choice.start_s or 0.0, choice.end_s or float("inf"))
    every = tuple(Frame(stamp=stamp, image=path / f"{stamp}{ENDING}") for stamp in places)
    frames = choose(
        every, replace(choice, start_s=None, end_s=None, topic=None, truth_topic=None), stride=1, folder=path
    )
    sequence = make_sequence(
        folder,
        frames,
        choice,
        images=Images(size=look.size),
        known=known,
        notes=(f"{path.name}: {len(look.stamps)} images of {topic}", *look.notes),
        left=None if choice.as_taken else fit_usual_area(require_camera(known, folder), look.size),
        units=Units(length="units", time="s"),
        recording=Clip(
            path=path,
            topic=topic,
            places=tuple(places[frame.stamp] for frame in frames),
            values=look.values,
        ),
    )
    if choice.truth_topic is None:
        return replace(sequence, name=path.stem, notes=(*sequence.notes, *_describe_poses(sequence, poses)))
    return replace(sequence, name=path.stem, groundtruth=path, units=SECONDS)


def _describe_poses(sequence: Sequence, topics: tuple[str, ...]) -> tuple[str, ...]:
    """A note of poses in a bag without a ground truth: what they are is for a person to say."""
    if sequence.groundtruth is not None or not topics:
        return ()
    note = f"poses are in {', '.join(topics)}; --groundtruth-topic compares with one that is the truth"
    return (note,)


def _between(stamps: Mapping[str, int], start_s: float, end_s: float) -> dict[str, int]:
    """Those from one time to another, counted from the first image."""
    first = Decimal(next(iter(stamps)))
    return {
        stamp: place for stamp, place in stamps.items() if start_s <= float(Decimal(stamp) - first) <= end_s
    }
