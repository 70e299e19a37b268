"""EuRoC MAV: a drone's stereo pair.

https://projects.asl.ethz.ch/datasets/doku.php?id=kmavvisualinertialdatasets
"""

from __future__ import annotations

from pathlib import Path

from slam.dataset.camera import Intrinsics, opencv_camera
from slam.dataset.files import list_files
from slam.dataset.frames import choose, make_sequence, require_size, survey
from slam.dataset.geometry import Preparation, Rectification
from slam.dataset.sequence import Choice, Frame, Sequence
from slam.errors import InputError

IMAGES = Path("mav0", "cam0", "data")
OTHER_IMAGES = Path("mav0", "cam1", "data")
GROUND_TRUTH = Path("mav0", "state_groundtruth_estimate0", "data.csv")
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
    """True where a folder is a sequence of this dataset."""
    return (folder / IMAGES).is_dir()


def open_sequence(folder: Path, choice: Choice) -> Sequence:
    """The sequence in a folder. Timestamps become seconds.

    Where no stride was asked for, every second image is tracked, and the others' poses are filled in.

    Raises:
        InputError: a file is missing or not what it should be, or the choice cannot be had.
    """
    if choice.mode == "rgbd":
        raise InputError(f"{folder}: EuRoC has no depth images; leave --depth out, or use --stereo")
    frames = choose(_list_frames(folder, stereo=choice.mode == "stereo"), choice, stride=1, folder=folder)
    images = survey(frames, choice)
    require_size(folder, "EuRoC", images.size, SIZE)
    left = Preparation(camera=LEFT_CAMERA, size=SIZE, resized=RESIZED, rectification=LEFT_RECTIFICATION)
    right = Preparation(camera=RIGHT_CAMERA, size=SIZE, resized=RESIZED, rectification=RIGHT_RECTIFICATION)
    return make_sequence(
        folder,
        frames,
        choice,
        images=images,
        camera=LEFT_CAMERA,
        left=left,
        right=right,
        truth=GROUND_TRUTH,
        settings=SETTINGS,
        tracked_every=1 if choice.stride else 2,
        baseline_m=BASELINE_M,
    )


def _list_frames(folder: Path, *, stereo: bool) -> tuple[Frame, ...]:
    frames: list[Frame] = []
    images = list_files(folder / IMAGES, ".png")
    for path in images:
        if not path.stem.isdecimal():
            raise InputError(f"{path}: the name of an image is its time in nanoseconds")
        right = folder / OTHER_IMAGES / path.name
        if not stereo:
            frames.append(Frame(stamp=seconds_from_nanoseconds(path.stem), image=path))
        elif right.is_file():
            frames.append(Frame(stamp=seconds_from_nanoseconds(path.stem), image=path, right=right))
    if not frames:
        what = (
            f"none of its {len(images)} images has one in {OTHER_IMAGES}" if images else "there is no image"
        )
        raise InputError(f"{folder / IMAGES}: {what}; stage the sequence as it was published")
    return tuple(sorted(frames, key=lambda frame: float(frame.stamp)))


def seconds_from_nanoseconds(text: str) -> str:
    """Whole nanoseconds as seconds, with all their digits."""
    padded = text.rjust(10, "0")
    return f"{padded[:-9]}.{padded[-9:]}"
