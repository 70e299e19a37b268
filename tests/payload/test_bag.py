"""ROS bags as sequences: the images of one topic, their headers' times, the camera published with them."""

import pickle
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from slam.dataset.catalog import find_sequences
from slam.dataset.image import read_color
from slam.dataset.layout import find_layout, open_sequence
from slam.dataset.message import interpolate
from slam.dataset.sequence import Choice, Sequence
from slam.errors import InputError, SlamError
from slam.evaluate.absolute import Comparison
from slam.task.truth import find_truth
from tests.payload.bags import BENT, CAMERA, FIRST_NS, STEP_NS, Bag, make_bag
from tests.payload.datasets import make_plain, noise, save

SIZE = (96, 64)
TAKEN = Choice(as_taken=True)


def make(path: Path, count: int = 5) -> Path:
    return make_bag(path, [noise(SIZE, place) for place in range(count)])


@pytest.mark.parametrize("name", ["walk.bag", "walk", "mcap"])
def test_a_topic_is_a_sequence(tmp_path: Path, name: str) -> None:
    path = make(tmp_path / name)
    layout = find_layout(path)
    assert layout is not None
    assert layout.name == "bag"
    sequence = pickle.loads(pickle.dumps(open_sequence(path, TAKEN)))  # noqa: S301 - our own
    assert (sequence.name, sequence.width, sequence.height, sequence.length) == (path.stem, 96, 64, 5)
    assert sequence.stamps[:2] == ("1700000000.250000000", "1700000000.300000000")
    for _ in range(2):
        for place, pixels in enumerate(sequence.recording):
            np.testing.assert_array_equal(pixels[:, :, ::-1], noise(SIZE, place))
    camera = sequence.intrinsics
    # OpenCV's, which ROS has, counts from the middle of the first pixel.
    assert (camera.fx, camera.fy, camera.cx - 0.5, camera.cy - 0.5) == CAMERA
    assert camera.distortion == BENT
    assert "/cam0/camera_info, plumb_bob" in sequence.calibration
    assert sequence.notes == (f"{name}: 5 images of /cam0/image_raw",)


@pytest.mark.parametrize(
    ("encoding", "stored", "seen"),
    [
        ("bgr8", lambda rgb: rgb[:, :, ::-1], lambda rgb: rgb),
        ("bgra8", lambda rgb: np.dstack([rgb[:, :, ::-1], rgb[:, :, 0]]), lambda rgb: rgb),
        ("rgba8", lambda rgb: np.dstack([rgb, rgb[:, :, 0]]), lambda rgb: rgb),
        ("mono8", lambda rgb: rgb[:, :, 1], lambda rgb: rgb[:, :, [1, 1, 1]]),
    ],
)
def test_encodings(tmp_path: Path, encoding: str, stored, seen) -> None:
    path = tmp_path / "walk.bag"
    with Bag(path) as bag:
        for place in range(3):
            pixels = np.ascontiguousarray(stored(noise(SIZE, place)))
            bag.image("/image", FIRST_NS + place * STEP_NS, pixels, encoding)
    sequence = open_sequence(path, TAKEN)
    assert sequence.recording is not None
    for place, pixels in enumerate(sequence.recording):
        np.testing.assert_array_equal(pixels[:, :, ::-1], seen(noise(SIZE, place)))


@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_values_of_12_bits_are_scaled_as_those_of_files_are(tmp_path: Path, encoding: str) -> None:
    path = tmp_path / "walk.bag"
    images = [16 * noise(SIZE, place)[:, :, 1].astype(np.uint16) for place in range(3)]
    with Bag(path) as bag:
        for place, values in enumerate(images):
            bag.image("/image", FIRST_NS + place * STEP_NS, values, encoding)
            save(tmp_path / "files" / f"{place}.png", values)
    sequence, files = open_sequence(path, TAKEN), open_sequence(tmp_path / "files", TAKEN)
    assert sequence.recording is not None
    assert sequence.notes[-1] == files.notes[-1]
    assert "grey with more than 8 bits: values from" in sequence.notes[-1]
    for frame, pixels in zip(files.frames, sequence.recording, strict=True):
        np.testing.assert_array_equal(pixels, read_color(frame.image, SIZE, files.values))


def test_headers_without_times(tmp_path: Path) -> None:
    """Then it is the time when a message was received."""
    path = tmp_path / "walk.bag"
    with Bag(path) as bag:
        for place in range(4):
            bag.image("/image", FIRST_NS + place * STEP_NS, noise(SIZE, place), "rgb8", sent_ns=0)
    sequence = open_sequence(path, TAKEN)
    assert sequence.stamps[:2] == ("1700000000.253000000", "1700000000.303000000")
    assert "all images have the timestamp 0.000000000, so timestamps are those at which" in sequence.notes[-1]


@pytest.mark.parametrize(
    ("colours", "opencv"),
    [
        ("rggb", cv2.COLOR_BayerRGGB2BGR),
        ("bggr", cv2.COLOR_BayerBGGR2BGR),
        ("gbrg", cv2.COLOR_BayerGBRG2BGR),
        ("grbg", cv2.COLOR_BayerGRBG2BGR),
    ],
)
def test_a_sensors_colours_are_those_of_opencv(colours: str, opencv: int) -> None:
    raw = np.random.default_rng(1).integers(0, 255, (32, 48), dtype=np.uint8)
    ours, theirs = interpolate(raw, colours).astype(int), cv2.cvtColor(raw, opencv).astype(int)
    assert np.abs(ours - theirs)[2:-2, 2:-2].max() <= 1


def test_compressed_images_are_read(tmp_path: Path) -> None:
    path = tmp_path / "walk"
    with Bag(path) as bag:
        for place in range(3):
            bag.jpeg("/image/compressed", FIRST_NS + place * STEP_NS, noise(SIZE, place))
    sequence = open_sequence(path, TAKEN)
    assert sequence.recording is not None
    for place, pixels in enumerate(sequence.recording):
        assert np.abs(pixels.astype(int) - noise(SIZE, place)).mean() < 4


def test_which_topic_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "pair.bag"
    with Bag(path) as bag:
        for place in range(3):
            for camera in (0, 1):
                pixels = noise(SIZE, place + 10 * camera)
                bag.image(f"/cam{camera}/image", FIRST_NS + place * STEP_NS, pixels, "rgb8")
    with pytest.raises(
        InputError, match=r"several topics have images: /cam0/image \(3\), /cam1/image \(3\); choose"
    ):
        open_sequence(path, TAKEN)
    with pytest.raises(
        InputError, match=r"there are no images in the topic /cam2; it has /cam0/image \(3\), /cam1"
    ):
        open_sequence(path, Choice(as_taken=True, topic="/cam2"))
    sequence = open_sequence(path, Choice(as_taken=True, topic="/cam1/image"))
    assert sequence.recording is not None
    np.testing.assert_array_equal(next(iter(sequence.recording))[:, :, ::-1], noise(SIZE, 10))


def test_a_part_of_a_bag(tmp_path: Path) -> None:
    """Times count from the first image."""
    path = make(tmp_path / "walk.bag", 12)
    sequence = open_sequence(path, Choice(as_taken=True, start_s=0.1, end_s=0.4, stride=2))
    assert [stamp[-11:] for stamp in sequence.stamps] == [f"0.{part}0000000" for part in (35, 45, 55, 65)]
    assert sequence.recording is not None
    for pixels, place in zip(sequence.recording, (2, 4, 6, 8), strict=True):
        np.testing.assert_array_equal(pixels[:, :, ::-1], noise(SIZE, place))


def test_cameras_of_other_models(tmp_path: Path) -> None:
    cases = {
        "fisheye": ("equidistant", "/cam0/image_raw"),
        "straight": ("plumb_bob", "/cam0/image_rect_color"),
        "other": ("omnidirectional", "/cam0/image_raw"),
    }
    found = {}
    for name, (model, topic) in cases.items():
        path = tmp_path / f"{name}.bag"
        with Bag(path) as bag:
            for place in range(3):
                bag.image(topic, FIRST_NS + place * STEP_NS, noise(SIZE, place), "rgb8")
            bag.camera_info("/cam0/camera_info", model, BENT[:4])
        found[name] = open_sequence(path, TAKEN)
    fisheye, straight = found["fisheye"].intrinsics, found["straight"].intrinsics
    assert fisheye is not None
    assert straight is not None
    assert (fisheye.is_fisheye, fisheye.distortion) == (True, BENT[:4])
    # A rectified topic is described by P.
    assert (straight.fx, straight.fy, straight.cx, straight.cy) == (70, 71, 47.5, 31.5)
    assert straight.distortion == ()
    assert found["other"].intrinsics is None
    assert "omnidirectional) is not used: this model of distortion is not read" in found["other"].notes[-1]


@pytest.mark.parametrize("topic", ["/cam0/direct_image", "/direct/image_raw", "/cam0/image_unrectified"])
def test_not_all_that_has_rect_in_its_name_is_rectified(tmp_path: Path, topic: str) -> None:
    path = tmp_path / "walk.bag"
    with Bag(path) as bag:
        for place in range(3):
            bag.image(topic, FIRST_NS + place * STEP_NS, noise(SIZE, place), "rgb8")
        bag.camera_info(f"{topic.rpartition('/')[0]}/camera_info", "plumb_bob", BENT)
    camera = open_sequence(path, TAKEN).intrinsics
    assert camera is not None
    assert (camera.fx, camera.distortion) == (CAMERA[0], BENT)


def recorded(path: Path, size: tuple[int, int], **info: Any) -> Sequence:
    """The sequence of images of a size beside a CameraInfo for 96x64."""
    with Bag(path) as bag:
        for place in range(3):
            bag.image("/cam0/image_raw", FIRST_NS + place * STEP_NS, noise(size, place), "rgb8")
        bag.camera_info("/cam0/camera_info", **{"model": "plumb_bob", "distortion": BENT, **info})
    return open_sequence(path, TAKEN)


def test_a_camera_is_scaled_to_images_that_were_made_smaller(tmp_path: Path) -> None:
    sequence = recorded(tmp_path / "half.bag", (48, 32))
    assert sequence.intrinsics is not None
    assert (sequence.intrinsics.fx, sequence.intrinsics.cx) == (40, (48 + 0.5) / 2)
    assert "is for images of 96x64, and is scaled to the 48x32 of these" in sequence.notes[-1]
    cropped = recorded(tmp_path / "part.bag", (64, 48), region=(20, 8, 64, 48))
    assert cropped.intrinsics is not None
    assert (cropped.intrinsics.fx, cropped.intrinsics.cx, cropped.intrinsics.cy) == (80, 28.5, 24.5)
    other = recorded(tmp_path / "other.bag", (96, 96))
    assert other.intrinsics is None
    assert "is for images of 96x64, and these are 96x96, of another shape" in other.notes[-1]
    many = recorded(tmp_path / "many.bag", SIZE, model="rational_polynomial", distortion=(0.1,) * 14)
    assert many.intrinsics is None
    assert "those after the 8th are of a model that is not read" in many.notes[-1]


@pytest.mark.parametrize("name", ["walk.bag", "walk"])
def test_a_topic_with_poses_is_the_truth_where_it_is_named(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    way = np.random.default_rng(0).normal(size=(9, 3))
    with Bag(path) as bag:
        for place in range(3):
            bag.image("/image", FIRST_NS + place * STEP_NS, noise(SIZE, place), "rgb8")
        for place, point in enumerate(way):
            bag.odometry("/mocap/odom", FIRST_NS + place * STEP_NS // 2, point, np.array([0, 0, 0.6, 0.8]))
    sequence = open_sequence(path, TAKEN)
    assert sequence.groundtruth is None
    assert "poses are in /mocap/odom; --groundtruth-topic compares with one" in sequence.notes[-1]
    sequence = open_sequence(path, replace(TAKEN, truth_topic="/mocap/odom"))
    truth = find_truth(sequence, Comparison(truth_topic="/mocap/odom"))
    assert truth.reason is None
    assert truth.trajectory is not None
    np.testing.assert_allclose(truth.trajectory.positions, way)
    assert sequence.units.length == "m"
    lost = find_truth(open_sequence(path, replace(TAKEN, truth_topic="/gps")), Comparison(truth_topic="/gps"))
    assert "no messages for topic '/gps'" in str(lost.reason)
    with pytest.raises(InputError, match="--groundtruth-topic is for ROS bags; leave it out"):
        open_sequence(make_plain(tmp_path / "plain", "500 500 328 240"), Choice(truth_topic="/gps"))


def test_a_file_of_ros_2_alone(tmp_path: Path) -> None:
    """MCAP says all itself, and SQLite's needs its metadata."""
    (tmp_path / "one").mkdir()
    for made, name in (("mcap", "a.mcap"), ("walk", "a.db3")):
        (file,) = make(tmp_path / made).glob(f"*{Path(name).suffix}")
        file.rename(tmp_path / "one" / name)
        if made == "mcap":
            assert open_sequence(tmp_path / "one", TAKEN).length == 5
            assert [one.name for one in find_sequences(tmp_path, "one", ("a.mcap",))] == ["a.mcap"]
            (tmp_path / "one" / name).unlink()
    with pytest.raises(InputError, match=r"but a.db3; stage the whole folder of the ROS 2 bag"):
        open_sequence(tmp_path / "one", TAKEN)


def test_a_calibration_beside_a_bag_goes_first(tmp_path: Path) -> None:
    make(tmp_path / "walk.bag")
    (tmp_path / "calib.txt").write_text("90 90 48 32\n")
    sequence = open_sequence(tmp_path, TAKEN)
    assert sequence.intrinsics is not None
    assert sequence.intrinsics.fx == 90


def test_bags_are_found(tmp_path: Path) -> None:
    for name in ("one/a.bag", "two/a.bag", "two/b.bag", "three/walk"):
        make(tmp_path / name, 3)

    def found(dataset: str, *names: str) -> list[str]:
        return [one.name for one in find_sequences(tmp_path, dataset, names)]

    assert (found("one"), found("two"), found("two", "b")) == (["one"], ["a.bag", "b.bag"], ["b.bag"])
    assert found("three") == ["walk"]


@pytest.mark.parametrize("name", ["a.bag", "metadata.yaml"])
def test_what_is_no_bag_is_told(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("nothing: here\n")
    with pytest.raises(InputError, match="it cannot be read as a bag"):
        open_sequence(tmp_path, TAKEN)


def test_a_bag_without_images_or_its_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.bag"
    with Bag(path) as bag:
        bag.camera_info("/camera_info", "plumb_bob", BENT)
    with pytest.raises(InputError, match="no topic has images; it has /camera_info"):
        open_sequence(path, TAKEN)
    with pytest.raises(InputError, match="--topic is for ROS bags; leave it out"):
        open_sequence(make_plain(tmp_path / "plain", "500 500 328 240"), Choice(topic="/image"))
    monkeypatch.setitem(sys.modules, "rosbags.highlevel", None)
    with pytest.raises(
        SlamError, match="reading a bag needs rosbags: build the image again, or `pip install"
    ):
        open_sequence(path, TAKEN)
