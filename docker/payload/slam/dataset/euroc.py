"""EuRoC MAV: a drone's stereo pair.

https://projects.asl.ethz.ch/datasets/doku.php?id=kmavvisualinertialdatasets
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from slam.dataset.calibration.fit import is_same
from slam.dataset.calibration.known import KnownCamera, require_camera
from slam.dataset.calibration.search import find_camera, published, read_camera
from slam.dataset.camera import Intrinsics, opencv_camera
from slam.dataset.files import exists, list_files
from slam.dataset.frames import choose, make_sequence, require_size, survey
from slam.dataset.geometry import Preparation, Rectification, fit_usual_area
from slam.dataset.rig import CAMCHAIN_FOLDER, find_pose, rectify
from slam.dataset.sequence import Choice, Frame, Sequence
from slam.errors import InputError
from slam.trajectory import CAMERA, RAW_CAMERA

# In mav0, which may also be the sequence's folder itself.
HOME = "mav0"
LEFT, RIGHT = "cam0", "cam1"
IMAGES = Path(LEFT, "data")
OTHER_IMAGES = Path(RIGHT, "data")
SENSOR = Path(LEFT, "sensor.yaml")
GROUND_TRUTH = Path("state_groundtruth_estimate0", "data.csv")
# TUM-VI's, which has this layout and is of the IMU, too; and what EuRoC's Vicon rooms measured themselves.
# https://cvg.cit.tum.de/data/datasets/visual-inertial-dataset
TUM_VI_TRUTH = Path("mocap0", "data.csv")
TRUTHS = (GROUND_TRUTH, TUM_VI_TRUTH, Path("vicon0", "data.csv"))
SIZE = (752, 480)
RESIZED = (512, 320)

# mav0/cam0/sensor.yaml, the same in all sequences: the left camera in the drone's body, [3, 4] by rows.
CAMERA_IN_BODY = (
    (0.0148655429818, -0.999880929698, 0.00414029679422, -0.0216401454975),
    (0.999557249008, 0.0149672133247, 0.025715529948, -0.064676986768),
    (-0.0257744366974, 0.00375618835797, 0.999660727178, 0.00981073058949),
)
# The two cameras turned to look the same way: the calibration that ORB-SLAM published for this dataset and
# that DROID-SLAM's evaluation uses.
FOCAL_LENGTH = 435.2046959714599
RECTIFIED = Intrinsics(fx=FOCAL_LENGTH, fy=FOCAL_LENGTH, cx=367.4517211914062, cy=252.2008514404297)
BASELINE_M = 47.90639384423901 / FOCAL_LENGTH
# Kalibr's, which counts as OpenCV does; the rectified one's stands as DROID-SLAM's evaluation has it.
LEFT_CAMERA = opencv_camera(
    fx=458.654, fy=457.296, cx=367.215, cy=248.375,
    distortion=(-0.28340811, 0.07395907, 0.00019359, 1.76187114e-05),
)  # fmt: skip
LEFT_RECTIFICATION = Rectification(
    rotation=(
        0.999966347530033, -0.001422739138722922, 0.008079580483432283,
        0.001365741834644127, 0.9999741760894847, 0.007055629199258132,
        -0.008089410156878961, -0.007044357138835809, 0.9999424675829176,
    ),
    camera=RECTIFIED,
)  # fmt: skip
RIGHT_CAMERA = opencv_camera(
    fx=457.587, fy=456.134, cx=379.999, cy=255.238,
    distortion=(-0.28368365, 0.07451284, -0.00010473, -3.555907e-05),
)  # fmt: skip
RIGHT_RECTIFICATION = Rectification(
    rotation=(
        0.9999633526194376, -0.003625811871560086, 0.007755443660172947,
        0.003680398547259526, 0.9999684752771629, -0.007035845251224894,
        -0.007729688520722713, 0.007064130529506649, 0.999945173484644,
    ),
    camera=RECTIFIED,
)  # fmt: skip

SETTINGS = {
    "beta": 0.3,
    "filter_thresh": 2.4,
    "warmup": 15,
    "keyframe_thresh": 3.0,
    "frontend_thresh": 17.5,
    "frontend_window": 20,
    "frontend_radius": 2,
    "frontend_nms": 1,
    "backend_thresh": 24.0,
    "backend_radius": 2,
    "backend_nms": 2,
}


def holds(folder: Path) -> bool:
    """True where a folder is a sequence of this dataset, or ``mav0`` of one."""
    return (_home(folder) / IMAGES).is_dir()


def groundtruth_of(folder: Path) -> Path:
    """Where the ground truth of a sequence is, if it has one."""
    home = _home(folder)
    return next((home / truth for truth in TRUTHS if exists(home / truth)), home / GROUND_TRUTH)


def open_sequence(folder: Path, choice: Choice) -> Sequence:
    """The sequence in a folder. Timestamps become seconds.

    Where no stride was asked for, every second image is tracked, and the others' poses are filled in. What
    another camera recorded, by its ``sensor.yaml`` or another calibration, is somebody's own: all its images,
    undistorted, of about 384 by 512 pixels, pairs rectified by how their files say that the cameras stand.

    Raises:
        InputError: a file is missing or not what it should be, or the choice cannot be had.
    """
    if choice.mode == "rgbd":
        raise InputError(f"{folder}: EuRoC has no depth images; leave --depth out, or use --stereo")
    home = _home(folder)
    frames = choose(_list_frames(home, stereo=choice.mode == "stereo"), choice, stride=1, folder=folder)
    images = survey(frames, choice)
    known = _find_camera(folder, images.size, choice.top)
    is_published = images.size == SIZE and is_same(known.intrinsics, LEFT_CAMERA)
    if known.intrinsics is None and not choice.as_taken:
        require_size(folder, "EuRoC", images.size, SIZE)
    left, right, baseline_m = _prepare(folder, known, images.size, choice, is_published=is_published)
    sequence = make_sequence(
        folder,
        frames,
        choice,
        images=images,
        known=known,
        left=left,
        right=right,
        truth=groundtruth_of(folder),
        settings=SETTINGS if is_published else {},
        tracked_every=2 if is_published and not choice.stride else 1,
        baseline_m=baseline_m,
    )
    if sequence.turn is not None:
        return replace(sequence, frame=CAMERA)
    if is_published or _knows_pose(home):
        return replace(sequence, frame=RAW_CAMERA)
    note = (
        "how this camera sits in the body is not known, so the ground truth stays that of the body; T_BS in "
        f"{home / SENSOR} would say it"
    )
    return replace(sequence, notes=(*sequence.notes, *((note,) if sequence.groundtruth else ())))


def _knows_pose(home: Path) -> bool:
    try:
        return find_pose(home, LEFT) is not None
    except InputError:
        return False


def _home(folder: Path) -> Path:
    """``mav0`` in a folder, or the folder itself."""
    return folder / HOME if (folder / HOME / IMAGES).is_dir() else folder


def _find_camera(folder: Path, size: tuple[int, int], top: Path | None) -> KnownCamera:
    """By the sequence's own ``sensor.yaml``, else the published one, else by another calibration."""
    home = _home(folder)
    if exists(home / SENSOR):
        return read_camera(home / SENSOR, size)
    if size == SIZE:
        return published(LEFT_CAMERA, "EuRoC", (folder, home, home / SENSOR.parent))
    return find_camera(folder, size, top, (home / SENSOR.parent, home, folder / CAMCHAIN_FOLDER))


def _prepare(
    folder: Path, known: KnownCamera, size: tuple[int, int], choice: Choice, *, is_published: bool
) -> tuple[Preparation | None, Preparation | None, float | None]:
    """How both cameras' images are prepared, and how far apart they are in metres, where that is known.

    Raises:
        InputError: pairs are asked for, and how they are to be rectified is not known.
    """
    if is_published:
        return *_prepare_pair(), BASELINE_M
    if choice.as_taken:
        return None, None, None
    left = fit_usual_area(require_camera(known, folder), size)
    if choice.mode != "stereo":
        return left, None, None
    home = _home(folder)
    other = _find_other_camera(folder, size, choice.top)
    poses = (find_pose(home, LEFT), find_pose(home, RIGHT))
    if other.intrinsics is None or poses[0] is None or poses[1] is None:
        raise InputError(
            f"{folder}: how its two cameras stand to each other is not known, and they are not EuRoC's own; "
            f"put a sensor.yaml with T_BS into {home / LEFT} and {home / RIGHT}, or a camchain with "
            f"T_cam_imu into {folder}, or leave --stereo out"
        )
    pair = rectify((left.camera, other.intrinsics), (poses[0], poses[1]), size, folder)
    apart_m = float(np.linalg.norm(poses[0][:, 3] - poses[1][:, 3]))
    right = replace(left, camera=other.intrinsics, rectification=pair[1])
    return replace(left, rectification=pair[0]), right, apart_m


def _find_other_camera(folder: Path, size: tuple[int, int], top: Path | None) -> KnownCamera:
    home = _home(folder)
    if exists(home / RIGHT / SENSOR.name):
        return read_camera(home / RIGHT / SENSOR.name, size)
    return find_camera(folder, size, top, (home, folder / CAMCHAIN_FOLDER), rig=RIGHT)


def _prepare_pair() -> tuple[Preparation, Preparation]:
    return (
        Preparation(camera=LEFT_CAMERA, size=SIZE, resized=RESIZED, rectification=LEFT_RECTIFICATION),
        Preparation(camera=RIGHT_CAMERA, size=SIZE, resized=RESIZED, rectification=RIGHT_RECTIFICATION),
    )


def _list_frames(home: Path, *, stereo: bool) -> tuple[Frame, ...]:
    frames: list[Frame] = []
    images = list_files(home / IMAGES, ".png")
    for path in images:
        if not path.stem.isdecimal():
            raise InputError(f"{path}: the name of an image is its time in nanoseconds")
        right = home / OTHER_IMAGES / path.name
        if not stereo:
            frames.append(Frame(stamp=seconds_from_nanoseconds(path.stem), image=path))
        elif right.is_file():
            frames.append(Frame(stamp=seconds_from_nanoseconds(path.stem), image=path, right=right))
    if not frames:
        what = (
            f"none of its {len(images)} images has one in {OTHER_IMAGES}" if images else "there is no image"
        )
        raise InputError(f"{home / IMAGES}: {what}; stage the sequence as it was published")
    return tuple(sorted(frames, key=lambda frame: float(frame.stamp)))


def seconds_from_nanoseconds(text: str) -> str:
    """Whole nanoseconds as seconds, with all their digits."""
    padded = text.rjust(10, "0")
    return f"{padded[:-9]}.{padded[-9:]}"
