"""A ROS 1 or 2 bag: the images of one topic, at the times in their headers, read without ROS.

https://ternaris.gitlab.io/rosbags
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from typing import Any

from slam.dataset.calibration.known import KnownCamera, require_camera
from slam.dataset.calibration.search import find_camera
from slam.dataset.camera_info import CAMERA_INFO, find_info, read_info
from slam.dataset.files import exists, holds_folders, is_bag, list_folder
from slam.dataset.frames import Images, choose, make_sequence
from slam.dataset.geometry import fit_usual_area
from slam.dataset.message import IMAGE_TYPES, decode, decode_deep, is_deep, size_of
from slam.dataset.recording import ENDING
from slam.dataset.sequence import (
    GROUND_TRUTH,
    SECONDS,
    Bytes,
    Choice,
    Frame,
    Numbers,
    Sequence,
    Units,
    ValueRange,
)
from slam.dataset.tum import require_no_stereo
from slam.dataset.value import SAMPLED_IMAGES, describe_range, range_of, sample
from slam.errors import InputError, SlamError

METADATA = "metadata.yaml"


# What evo reads poses of; a wheel's odometry is among them, so that nothing is taken without being named.
_POSES = (
    "geometry_msgs/msg/PoseStamped",
    "geometry_msgs/msg/PoseWithCovarianceStamped",
    "geometry_msgs/msg/TransformStamped",
    "nav_msgs/msg/Odometry",
)


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Some images of a bag's topic, by their places in it, decoded anew whenever they are gone through."""

    path: Path
    topic: str
    places: tuple[int, ...]
    values: ValueRange | None = None

    def __iter__(self) -> Iterator[Bytes]:
        wanted = frozenset(self.places)
        with _opened(self.path) as reader:
            for place, (_, message) in enumerate(_messages(reader, self.topic)):
                if place in wanted:
                    yield decode(message, f"{self.path}, {self.topic}", self.values)


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a topic's images are: their size, and the stamps of those in order, each with its place there.

    ``values`` are those of images with more than 8 bits.
    """

    size: tuple[int, int]
    stamps: Mapping[str, int]
    values: ValueRange | None = None
    notes: tuple[str, ...] = ()


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
    with _opened(path) as reader:
        topic = _choose_topic(reader, choice.topic, path)
        look = _look_through(reader, topic, path)
        poses = tuple(name for name, one in sorted(reader.topics.items()) if one.msgtype in _POSES)
        known = find_camera(folder, look.size, choice.top)
        if known.intrinsics is None:
            known = _read_info(reader, topic, look.size, path) or known
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


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """A bag that is open to be read.

    Raises:
        InputError: it is none, or broken.
    """
    try:
        from rosbags.highlevel import AnyReader, AnyReaderError
        from rosbags.typesys import Stores, get_typestore
    except ImportError as error:
        raise SlamError(
            f"{error}; reading a bag needs rosbags: build the image again, or `pip install rosbags`"
        ) from error
    # Bags of ROS 2 before Iron do not say what their messages are made of; images are the same in all.
    try:
        with AnyReader([path], default_typestore=get_typestore(Stores.ROS2_HUMBLE)) as reader:
            yield reader
    except (AnyReaderError, OSError) as error:
        raise InputError(
            f"{path}: it cannot be read as a bag ({error}); `rosbag reindex` or `ros2 bag reindex` may "
            "repair it"
        ) from error


def _image_topics(reader: Any) -> dict[str, int]:
    """Topics with images, and how many each has; depth that is compressed in ROS's own way is none."""
    return {
        name: topic.msgcount
        for name, topic in sorted(reader.topics.items())
        if topic.msgtype in IMAGE_TYPES and not name.endswith("/compressedDepth")
    }


def _choose_topic(reader: Any, asked: str | None, path: Path) -> str:
    topics = _image_topics(reader)
    listed = ", ".join(f"{name} ({count})" for name, count in topics.items()) or "no images at all"
    if asked is not None and asked not in topics:
        raise InputError(f"{path}: there are no images in the topic {asked}; it has {listed}")
    if not topics:
        others = ", ".join(sorted(reader.topics)[:20])
        raise InputError(f"{path}: no topic has images; it has {others or 'no topics at all'}")
    if asked is None and len(topics) > 1:
        raise InputError(f"{path}: several topics have images: {listed}; choose one with --topic")
    return asked or next(iter(topics))


def _messages(reader: Any, topic: str) -> Iterator[tuple[int, Any]]:
    """The messages of a topic, each with the time in nanoseconds when the bag received it."""
    connections = [one for one in reader.connections if one.topic == topic]
    for connection, received_ns, data in reader.messages(connections=connections):
        yield received_ns, reader.deserialize(data, connection.msgtype)


def _look_through(reader: Any, topic: str, path: Path) -> Look:
    """Go through a topic's images once.

    Raises:
        InputError: images are of several sizes, or there is none.
    """
    where = f"{path}, {topic}"
    sent: list[int] = []
    received: list[int] = []
    samples: list[Numbers] = []
    size = None
    step = -(-_image_topics(reader)[topic] // SAMPLED_IMAGES) or 1
    for place, (received_ns, message) in enumerate(_messages(reader, topic)):
        found = size_of(message, where)
        size = size or found
        if found != size:
            raise InputError(f"{where}: images are {found[0]}x{found[1]} and {size[0]}x{size[1]}")
        stamp = message.header.stamp
        sent.append(stamp.sec * 10**9 + stamp.nanosec)
        received.append(received_ns)
        if place % step == 0 and is_deep(message):
            samples.append(sample(decode_deep(message, where)))
    if size is None:
        raise InputError(f"{where}: there is no image in it")
    values = range_of(samples)
    stamps, notes = _order(sent, received)
    return Look(size=size, stamps=stamps, values=values, notes=(*notes, *describe_range(values)))


def _order(sent: list[int], received: list[int]) -> tuple[dict[str, int], tuple[str, ...]]:
    """Timestamps in seconds, each later than the one before, with their places; and notes of them.

    Drivers that set no time in headers leave it at zero in all of them.
    """
    has_no_times = len(set(sent)) == 1 < len(sent)
    stamps: dict[str, int] = {}
    last = -1
    for place, time_ns in enumerate(received if has_no_times else sent):
        if time_ns > last:
            last = time_ns
            stamps[f"{time_ns // 10**9}.{time_ns % 10**9:09d}"] = place
    late = len(sent) - len(stamps)
    notes = [f"{late} images are not after the one before, and are left out"] if late else []
    if has_no_times:
        stamp = f"{sent[0] // 10**9}.{sent[0] % 10**9:09d}"
        notes.append(
            f"all images have the timestamp {stamp}, so timestamps are those at which the bag received them"
        )
    return stamps, tuple(notes)


def _read_info(reader: Any, topic: str, size: tuple[int, int], path: Path) -> KnownCamera | None:
    """The camera that is published with a topic, if one is."""
    infos = {one.topic: one for one in reader.connections if one.msgtype == CAMERA_INFO}
    name = find_info(topic, tuple(infos))
    if name is None:
        return None
    data = next((data for _, _, data in reader.messages(connections=[infos[name]])), None)
    if data is None:
        return None
    message = reader.deserialize(data, CAMERA_INFO)
    source = f"{path} ({name}, {message.distortion_model or 'no distortion'})"
    return read_info(message, topic, size, source)
