"""Topics of a bag, read without ROS: those with images, what these are, the camera published with them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slam.dataset.calibration.known import KnownCamera
from slam.dataset.camera_info import CAMERA_INFO, find_info, read_info
from slam.dataset.message import IMAGE_TYPES, decode, decode_deep, is_deep, size_of
from slam.dataset.sequence import Bytes, Numbers, ValueRange
from slam.dataset.value import SAMPLED_IMAGES, describe_range, range_of, sample
from slam.errors import InputError, SlamError


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Some images of a bag's topic, by their places in it, decoded anew whenever they are gone through."""

    path: Path
    topic: str
    places: tuple[int, ...]
    values: ValueRange | None = None

    def __iter__(self) -> Iterator[Bytes]:
        wanted = frozenset(self.places)
        with opened(self.path) as reader:
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


@contextmanager
def opened(path: Path) -> Iterator[Any]:
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


def choose_topic(reader: Any, asked: str | None, path: Path) -> str:
    """The topic that is asked for, or the only one with images.

    Raises:
        InputError: it has no images, or it is not clear which is meant.
    """
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


def look_through(reader: Any, topic: str, path: Path) -> Look:
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


def read_camera(reader: Any, topic: str, size: tuple[int, int], path: Path) -> KnownCamera | None:
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
