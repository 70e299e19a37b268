"""Small ROS bags."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from rosbags.rosbag1 import Writer as Writer1
from rosbags.rosbag2 import StoragePlugin
from rosbags.rosbag2 import Writer as Writer2
from rosbags.typesys import Stores, get_typestore

FIRST_NS = 1_700_000_000_250_000_000
STEP_NS = 50_000_000
# (fx, fy, cx, cy) and distortion.
CAMERA = (80.0, 81.0, 48.0, 32.0)
BENT = (0.1, -0.05, 0.001, -0.002, 0.01)


def make_bag(path: Path, images: Iterable[np.ndarray], *, topic: str = "/cam0/image_raw") -> Path:
    """Images [h, w, 3], red, green, blue, 20 a second, and their camera."""
    with Bag(path) as bag:
        for place, image in enumerate(images):
            bag.image(topic, FIRST_NS + place * STEP_NS, image, "rgb8", padding=4)
        bag.camera_info("/cam0/camera_info", "plumb_bob", BENT, size=(image.shape[1], image.shape[0]))
    return path


class Bag:
    """A bag that is written: ROS 1 where it is called ``.bag``, else ROS 2, in MCAP for the name ``mcap``."""

    def __init__(self, path: Path) -> None:
        self.is_first = path.suffix == ".bag"
        self.store = get_typestore(Stores.ROS1_NOETIC if self.is_first else Stores.ROS2_HUMBLE)
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = StoragePlugin.MCAP if path.name == "mcap" else StoragePlugin.SQLITE3
        self.writer: Any = Writer1(path) if self.is_first else Writer2(path, version=9, storage_plugin=kind)
        self.topics: dict[str, Any] = {}

    def __enter__(self) -> "Bag":
        self.writer.open()
        return self

    def __exit__(self, *_: object) -> None:
        self.writer.close()

    def make(self, kind: str, **fields: Any) -> Any:
        return self.store.types[kind](**fields)

    def header(self, time_ns: int) -> Any:
        stamp = self.make("builtin_interfaces/msg/Time", sec=time_ns // 10**9, nanosec=time_ns % 10**9)
        return self.make(
            "std_msgs/msg/Header", stamp=stamp, frame_id="camera", **({"seq": 0} if self.is_first else {})
        )

    def write(
        self, topic: str, kind: str, time_ns: int, *, sent_ns: int | None = None, **fields: Any
    ) -> None:
        """A message; it is received 3 ms after its time. Its header may say another one."""
        if topic not in self.topics:
            self.topics[topic] = self.writer.add_connection(topic, kind, typestore=self.store)
        message = self.make(kind, header=self.header(time_ns if sent_ns is None else sent_ns), **fields)
        pack = self.store.serialize_ros1 if self.is_first else self.store.serialize_cdr
        self.writer.write(self.topics[topic], time_ns + 3_000_000, pack(message, kind))

    def image(
        self,
        topic: str,
        time_ns: int,
        pixels: np.ndarray,
        encoding: str,
        padding: int = 0,
        sent_ns: int | None = None,
    ) -> None:
        """``pixels`` are as the encoding has them; rows are ``padding`` bytes longer."""
        rows = pixels.view(np.uint8).reshape(pixels.shape[0], -1)
        data = np.pad(rows, ((0, 0), (0, padding)), constant_values=7)
        self.write(
            topic, "sensor_msgs/msg/Image", time_ns, sent_ns=sent_ns,
            height=pixels.shape[0], width=pixels.shape[1], encoding=encoding, is_bigendian=0,
            step=data.shape[1], data=data.ravel(),
        )  # fmt: skip

    def jpeg(self, topic: str, time_ns: int, bgr: np.ndarray) -> None:
        data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].ravel()
        self.write(
            topic, "sensor_msgs/msg/CompressedImage", time_ns, format="bgr8; jpeg compressed", data=data
        )

    def odometry(self, topic: str, time_ns: int, place: np.ndarray, turn: np.ndarray) -> None:
        """A pose: x y z, and qx qy qz qw."""
        point = self.make("geometry_msgs/msg/Point", **dict(zip("xyz", map(float, place), strict=True)))
        quaternion = self.make(
            "geometry_msgs/msg/Quaternion", **dict(zip("xyzw", map(float, turn), strict=True))
        )
        vector = self.make("geometry_msgs/msg/Vector3", x=0.0, y=0.0, z=0.0)
        self.write(
            topic, "nav_msgs/msg/Odometry", time_ns, child_frame_id="base_link",
            pose=self.make(
                "geometry_msgs/msg/PoseWithCovariance", covariance=np.zeros(36),
                pose=self.make("geometry_msgs/msg/Pose", position=point, orientation=quaternion),
            ),
            twist=self.make(
                "geometry_msgs/msg/TwistWithCovariance", covariance=np.zeros(36),
                twist=self.make("geometry_msgs/msg/Twist", linear=vector, angular=vector),
            ),
        )  # fmt: skip

    def camera_info(
        self,
        topic: str,
        model: str,
        distortion: tuple[float, ...],
        region: tuple[int, int, int, int] = (0, 0, 0, 0),
        size: tuple[int, int] = (96, 64),
    ) -> None:
        """Of the camera above, for images of ``size``; a ``region`` (x, y, width, height) of them is sent."""
        fx, fy, cx, cy = CAMERA
        matrix = np.array([fx, 0, cx, 0, fy, cy, 0, 0, 1.0])
        straight = np.array([70.0, 0, 47.0, 0, 0, 71.0, 31.0, 0, 0, 0, 1.0, 0])
        names = {"d": np.array(distortion), "k": matrix, "r": np.eye(3).ravel(), "p": straight}
        if self.is_first:
            names = {name.upper(): values for name, values in names.items()}
        left, top, width, height = region
        part = self.make(
            "sensor_msgs/msg/RegionOfInterest",
            x_offset=left, y_offset=top, height=height, width=width, do_rectify=False,
        )  # fmt: skip
        self.write(
            topic, "sensor_msgs/msg/CameraInfo", FIRST_NS,
            height=size[1], width=size[0], binning_x=0, binning_y=0, roi=part, distortion_model=model,
            **names,
        )  # fmt: skip
