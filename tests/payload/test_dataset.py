import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slam.dataset import euroc
from slam.dataset.camera import TUM_CAMERAS, Intrinsics
from slam.dataset.frames import add_depth
from slam.dataset.geometry import fit_usual_area
from slam.dataset.groundtruth import find_mount, turn_to, units_of_truth
from slam.dataset.layout import find_layout, groundtruth_of, open_sequence
from slam.dataset.sequence import Choice, Frame, Sequence
from slam.errors import InputError
from slam.posefile.posefile import read_posefile
from tests.payload.datasets import (
    FIRST_S,
    make_eth3d,
    make_euroc,
    make_plain,
    make_tartanair,
    make_tum,
    middle,
    noise,
    project,
    save,
    spot,
)

cv2 = pytest.importorskip("cv2", reason="OpenCV undistorts and resizes; install the extra `payload`")

# T_BS of mav0/cam0/sensor.yaml and mav0/cam1/sensor.yaml.
LEFT_IN_BODY = np.array(euroc.CAMERA_IN_BODY)
RIGHT_IN_BODY = np.array(
    [
        [0.0125552670891, -0.999755099723, 0.0182237714554, -0.0198435579556],
        [0.999598781151, 0.0130119051815, 0.0251588363115, 0.0453689425024],
        [-0.0253898008918, 0.0179005838253, 0.999517347078, 0.00786212447038],
    ]
)


def opened(folder: Path, **choice: object) -> Sequence:
    return open_sequence(folder, Choice(**choice))  # type: ignore[arg-type]


def test_tum_is_read_as_its_benchmark_is(tmp_path: Path) -> None:
    folder = make_tum(tmp_path / "rgbd_dataset_freiburg1_xyz")
    (folder / "groundtruth.txt").write_text("")
    stream = opened(folder)
    assert (stream.width, stream.height, stream.length, stream.mode) == (320, 240, 3, "mono")
    assert stream.stamps == tuple(f"{FIRST_S + place / 30:.6f}" for place in (0, 2, 4))
    assert stream.groundtruth == folder / "groundtruth.txt"
    assert stream.settings["keyframe_thresh"] == 2.0
    assert stream.settings["motion_damping"] == 0.5
    frames = list(stream.pictures)
    assert [frame.index for frame in frames] == [0, 1, 2]
    assert tuple(frame.stamp for frame in stream.frames) == stream.stamps
    assert {(frame.image.shape, str(frame.image.dtype)) for frame in frames} == {((3, 240, 320), "uint8")}
    # 640x480 is resized to 352x256, which loses 16 pixels left and right and 8 above and below.
    expected = [517.3 * 352 / 640, 516.5 * 256 / 480, 318.6 * 352 / 640 - 16, 255.3 * 256 / 480 - 8]
    np.testing.assert_allclose(frames[0].intrinsics, expected)


@pytest.mark.parametrize("camera", sorted(TUM_CAMERAS))
@pytest.mark.parametrize("point", [(0.1, -0.05, 1.0), (-0.4, 0.3, 1.0), (0.35, 0.3, 1.0)])
def test_a_point_is_where_the_prepared_camera_sees_it(
    tmp_path: Path, camera: str, point: tuple[float, float, float]
) -> None:
    folder = make_tum(tmp_path / f"{camera}_spot")
    for path in (folder / "rgb").iterdir():
        save(
            path, np.repeat(spot((640, 480), project(np.array(point), TUM_CAMERAS[camera]))[:, :, None], 3, 2)
        )
    frame = next(iter(opened(folder).pictures))
    seen = project(
        np.array(point), Intrinsics(**dict(zip(("fx", "fy", "cx", "cy"), frame.intrinsics, strict=True)))
    )
    # OpenCV resizes about the pixels' corners and the intrinsics are scaled about their middles: a quarter of
    # a pixel, which DROID-SLAM's own scripts have as well.
    np.testing.assert_allclose(middle(frame.image[1]), seen, atol=0.5)


def test_colours_are_blue_green_red(tmp_path: Path) -> None:
    folder = make_plain(tmp_path / "own", "500 500 320 240", size=(640, 480))
    for path in (folder / "images").iterdir():
        save(path, np.full((480, 640, 3), [250, 120, 10], dtype=np.uint8))
    frame = next(iter(opened(folder).pictures))
    assert frame.image[:, 100, 100].tolist() == [10, 120, 250]
    assert (frame.image.shape, frame.image.flags.c_contiguous) == ((3, 384, 512), True)


@pytest.mark.parametrize(
    ("choice", "places"),
    [
        ({}, [0, 2, 4, 6, 8]),
        ({"stride": 1}, list(range(10))),
        ({"stride": 3}, [0, 3, 6, 9]),
        ({"t0": 1}, [2, 4, 6, 8]),
        ({"stride": 1, "t0": 4, "max_frames": 3}, [4, 5, 6]),
    ],
)
def test_some_of_the_frames(tmp_path: Path, choice: dict[str, int], places: list[int]) -> None:
    stream = opened(make_tum(tmp_path / "freiburg3_x", count=10, size=(64, 48)), **choice)
    assert stream.stamps == tuple(f"{FIRST_S + place / 30:.6f}" for place in places)


def test_frames_can_be_had_again_and_in_another_process(tmp_path: Path) -> None:
    stream = opened(make_tum(tmp_path / "freiburg1_x"))
    once = [frame.image for frame in stream.pictures]
    for other in (stream, pickle.loads(pickle.dumps(stream))):  # noqa: S301
        np.testing.assert_array_equal([frame.image for frame in other.pictures], once)


def test_a_file_that_breaks_later_is_named_when_it_is_read(tmp_path: Path) -> None:
    stream = opened(make_tum(tmp_path / "freiburg1_x"), stride=1)
    broken = sorted((tmp_path / "freiburg1_x" / "rgb").iterdir())[2]
    broken.write_bytes(broken.read_bytes()[:60])
    frames = iter(stream.pictures)
    next(frames), next(frames)
    with pytest.raises(InputError, match=f"{broken.name}: not a readable image"):
        next(frames)


def test_depth_comes_in_metres_with_the_image_of_its_moment(tmp_path: Path) -> None:
    folder = make_tum(tmp_path / "rgbd_dataset_freiburg3_x", depth=True)
    stream = opened(folder, mode="rgbd")
    depths = [frame.depth for frame in stream.pictures]
    assert [float(depth.max()) for depth in depths if depth is not None] == pytest.approx([1.0, 1.002, 1.004])
    assert {(depth.shape, str(depth.dtype)) for depth in depths if depth is not None} == {
        ((240, 320), "float32")
    }


def test_depth_of_a_bent_image_is_straightened_with_it(tmp_path: Path) -> None:
    """A step in colour and in depth at the same place is at the same place afterwards."""
    folder = make_tum(tmp_path / "rgbd_dataset_freiburg1_x", depth=True)
    for path in (folder / "rgb").iterdir():
        pixels = np.zeros((480, 640, 3), dtype=np.uint8)
        pixels[:, 500:] = 255
        save(path, pixels)
    for path in (folder / "depth").iterdir():
        save(path, np.where(np.arange(640) < 500, 5000, 10000).astype(np.uint16)[None].repeat(480, 0))
    frame = next(iter(opened(folder, mode="rgbd").pictures))
    assert frame.depth is not None
    for row in (60, 120, 200):
        bright = np.flatnonzero(frame.image[0, row] > 127)[0]
        far = np.flatnonzero(frame.depth[row] > 1.5)[0]
        assert abs(int(bright) - int(far)) <= 1
    assert set(np.unique(frame.depth)) <= {np.float32(0), np.float32(1), np.float32(2)}


def test_depth_goes_to_the_nearest_image_and_only_once(tmp_path: Path) -> None:
    def shots(kind: str, *stamps: str) -> tuple[Frame, ...]:
        return tuple(Frame(stamp=stamp, image=Path(f"{kind}{stamp}")) for stamp in stamps)

    joined = add_depth(
        shots("c", "1.000", "1.004", "1.030", "1.070"), shots("d", "1.003", "1.031", "1.049"), tmp_path
    )
    # 1.003 is nearest to 1.004, so 1.000 has none; 1.049 is 21 ms before 1.070.
    assert [(shot.stamp, shot.depth and shot.depth.name) for shot in joined] == [
        ("1.004", "d1.003"),
        ("1.030", "d1.031"),
    ]
    with pytest.raises(InputError, match=r"none of its 1 depth images is within 0\.02 s"):
        add_depth(shots("c", "1.0"), shots("d", "1.1"), tmp_path)


@pytest.mark.parametrize("point", [(0.3, -0.2, 2.0), (-0.8, 0.4, 3.0), (0.5, 0.6, 4.0)])
def test_euroc_pairs_look_the_same_way(tmp_path: Path, point: tuple[float, float, float]) -> None:
    """A point of space, seen through both published calibrations, is on one row, at its depth's disparity."""
    folder = make_euroc(tmp_path / "MH_01_easy")
    left = np.array(point)
    body = LEFT_IN_BODY[:, :3] @ left + LEFT_IN_BODY[:, 3]
    right = RIGHT_IN_BODY[:, :3].T @ (body - RIGHT_IN_BODY[:, 3])
    for camera, seen in (
        ("cam0", project(left, euroc.LEFT_CAMERA)),
        ("cam1", project(right, euroc.RIGHT_CAMERA)),
    ):
        for path in (folder / "mav0" / camera / "data").iterdir():
            save(path, spot((752, 480), seen))
    stream = opened(folder, mode="stereo")
    frame = next(iter(stream.pictures))
    assert frame.right is not None
    first, second = middle(frame.image[0]), middle(frame.right[0])
    assert abs(first[1] - second[1]) < 0.4
    turned = np.array(euroc.LEFT_RECTIFICATION.rotation).reshape(3, 3) @ left
    assert stream.baseline_m == pytest.approx(
        np.linalg.norm(RIGHT_IN_BODY[:, 3] - LEFT_IN_BODY[:, 3]), abs=2e-4
    )
    disparity = frame.intrinsics[0] * stream.baseline_m / turned[2]
    assert first[0] - second[0] == pytest.approx(disparity, abs=0.4)
    fx, fy, cx, cy = frame.intrinsics
    np.testing.assert_allclose(
        first, [fx * turned[0] / turned[2] + cx, fy * turned[1] / turned[2] + cy], atol=0.6
    )


def test_euroc_counts_in_seconds_and_tracks_every_second(tmp_path: Path) -> None:
    folder = make_euroc(tmp_path / "V1_01_easy")
    stream = opened(folder)
    assert stream.stamps[:2] == ("1403636579.763555584", "1403636579.813555584")
    assert (stream.width, stream.height, stream.tracked_every, stream.mode) == (512, 320, 2, "mono")
    assert stream.baseline_m is None
    assert next(iter(stream.pictures)).right is None
    assert opened(folder, stride=1).tracked_every == 1
    (folder / "mav0" / "cam1" / "data" / "1403636579813555584.png").unlink()
    assert len(opened(folder, mode="stereo").stamps) == 3


def test_euroc_groundtruth_becomes_the_rectified_left_camera(tmp_path: Path) -> None:
    path = tmp_path / "mav0" / "state_groundtruth_estimate0" / "data.csv"
    path.parent.mkdir(parents=True)
    half = np.sqrt(0.5)
    path.write_text(
        "#timestamp, p_RS_R_x [m], p_RS_R_y [m], p_RS_R_z [m], q_RS_w [], q_RS_x [], q_RS_y [], q_RS_z []\n"
        "1403636580838555648,1,2,3,1,0,0,0,0.5\n"
        f"1403636580843555328,1,2,3,{half},0,0,{half},0.5\n"
    )
    body = read_posefile(path)
    assert body.trajectory.frame == "body"
    np.testing.assert_array_equal(body.trajectory.positions, [[1, 2, 3], [1, 2, 3]])
    truth = turn_to(body.trajectory, "camera", find_mount(path))
    assert truth.frame == "camera"
    assert truth.stamps == ("1403636580.838555648", "1403636580.843555328")
    # The camera's place in the body, and the same turned by 90 degrees about z.
    x, y, z = LEFT_IN_BODY[:, 3]
    np.testing.assert_allclose(truth.positions, [[1 + x, 2 + y, 3 + z], [1 - y, 2 + x, 3 + z]], atol=1e-9)
    # Rectification turns about the camera's centre: what the raw camera sees straight ahead, it sees aside.
    from scipy.spatial.transform import Rotation

    turn = np.array(euroc.LEFT_RECTIFICATION.rotation).reshape(3, 3)
    ahead = Rotation.from_quat(truth.quaternions[0]).apply(turn @ [0, 0, 1])
    np.testing.assert_allclose(ahead, LEFT_IN_BODY[:, 2], atol=1e-9)
    raw = turn_to(body.trajectory, "raw-camera", find_mount(path))
    np.testing.assert_array_equal(raw.positions, truth.positions)
    np.testing.assert_allclose(
        Rotation.from_quat(raw.quaternions[0]).as_matrix(), LEFT_IN_BODY[:, :3], atol=1e-9
    )
    assert units_of_truth(body).length == "m"


def test_tartanair_groundtruth_has_a_cameras_axes(tmp_path: Path) -> None:
    path = tmp_path / "pose_left.txt"
    path.write_text("1 2 3 0.1 0.2 0.3 0.927361850\n4 5 6 0 0 0 1\n")
    truth = read_posefile(path).trajectory
    assert truth.stamps == ("0.0", "1.0")
    # North, east, down to right, down, forward.
    np.testing.assert_allclose(truth.positions, [[2, 3, 1], [5, 6, 4]])
    np.testing.assert_allclose(truth.quaternions[0], [0.2, 0.3, 0.1, 0.927361850])


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("data.csv", "12,1,2,3,1,0,0\n", r"data.csv:1: 7 numbers; expected `timestamp \[ns\]"),
        ("data.csv", "#nothing\n", "no pose in it"),
        ("data.csv", "12,1,2,3,2,0,0,0\n", "the quaternion's length is 2, not 1"),
        ("pose_left.txt", "0 1 2 3 0 0 0 0 1\n", "pose_left.txt:1: 9 numbers"),
        ("pose_left.txt", "0 1 2 x 0 0 1\n", "could not convert"),
    ],
)
def test_a_groundtruth_that_is_none(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_posefile(tmp_path / name)


def test_eth3d_is_read_by_time_and_not_by_name(tmp_path: Path) -> None:
    folder = make_eth3d(tmp_path / "sfm_bench")
    stream = opened(folder, mode="rgbd")
    assert stream.stamps == ("999.500000", "1000.500000", "1001.500000")
    # 739x458 of about 384 * 512 pixels, with sides that 8 divides.
    assert (stream.width, stream.height) == (560, 344)
    frame = next(iter(stream.pictures))
    assert frame.depth is not None
    values = np.asarray(Image.open(folder / "depth" / "999.500000.png")).astype(float) / 5000
    assert frame.depth[0, 0] == pytest.approx(values[0, 0])
    assert frame.depth[200, 300] == pytest.approx(values[int(200 * 458 / 349), int(300 * 739 / 563)])
    np.testing.assert_allclose(
        frame.intrinsics[[0, 1]], [726.21081542969 * 563 / 739, 726.21081542969 * 349 / 458]
    )


def test_tartanair_has_pairs_and_depth(tmp_path: Path) -> None:
    folder = make_tartanair(tmp_path / "P000")
    stereo = opened(folder, mode="stereo")
    frame = next(iter(stereo.pictures))
    assert frame.right is not None
    assert (stereo.width, stereo.height, stereo.baseline_m) == (512, 384, 0.25)
    np.testing.assert_allclose(frame.intrinsics, [256, 256, 256, 192])
    depth = next(iter(opened(folder, mode="rgbd").pictures)).depth
    assert depth is not None
    stored = np.load(folder / "depth_left" / "000000_left_depth.npy")
    assert depth[0, 0] == 0  # endless is unknown
    assert depth[100, 200] == stored[125, 250]


def test_a_plain_folder_of_real_photographs(shared_data: Path) -> None:
    stream = opened(shared_data / "lund_door", max_frames=4)
    assert stream.stamps == ("0.0", "1.0", "2.0", "3.0")
    assert stream.settings == {}
    assert stream.width % 8 == stream.height % 8 == 0
    assert stream.width * stream.height == pytest.approx(384 * 512, rel=0.05)
    numbers = [float(word) for word in (shared_data / "lund_door" / "calib.txt").read_text().split()]
    frame = next(iter(stream.pictures))
    assert frame.intrinsics[0] / numbers[0] == pytest.approx(stream.width / 1296, rel=0.02)
    assert frame.image.std() > 20
    assert stream.groundtruth == shared_data / "lund_door" / "groundtruth.txt"


def test_a_tum_folder_of_ones_own_has_ones_own_camera(tmp_path: Path) -> None:
    folder = make_tum(tmp_path / "kitchen", size=(800, 600))
    (folder / "calib.txt").write_text("700 700 400 300\n")
    stream = opened(folder)
    assert (stream.width, stream.height, stream.length, stream.settings) == (512, 384, 6, {})


def test_resized_images_of_tum_have_a_resized_camera(tmp_path: Path) -> None:
    folder = make_tum(tmp_path / "rgbd_dataset_freiburg1_xyz", size=(320, 240))
    camera = opened(folder, as_taken=True).intrinsics
    assert camera is not None
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (258.65, 258.25, 159.3, 127.65)
    with pytest.raises(InputError, match="for images of 640x480, and these are 320x200, of another shape"):
        opened(make_tum(tmp_path / "freiburg1_wide", size=(320, 200)))


def test_a_photograph_that_was_taken_upright_is_read_upright(tmp_path: Path) -> None:
    """Its pixels lie on their side, and a tag says so; OpenCV turns them, as in DROID-SLAM's scripts."""
    folder = make_plain(tmp_path / "own", "500 500 240 320", size=(480, 640))
    lying = Image.Exif()
    lying[0x0112] = 6
    for path in folder.glob("images/*.png"):
        with Image.open(path) as upright:
            upright.transpose(Image.Transpose.ROTATE_90).save(path.with_suffix(".jpg"), exif=lying)
        path.unlink()
    stream = opened(folder)
    assert (stream.width, stream.height) == (384, 512)
    frame = next(iter(stream.pictures))
    assert frame.image.shape == (3, 512, 384)
    np.testing.assert_allclose(frame.intrinsics, [400, 400, 192, 256])


def test_a_depth_image_of_8_bits_is_refused(tmp_path: Path) -> None:
    folder = make_tum(tmp_path / "freiburg1_x", depth=True)
    stream = opened(folder, mode="rgbd")
    for path in (folder / "depth").iterdir():
        save(path, np.full((480, 640), 77, np.uint8))
    with pytest.raises(InputError, match="a depth image has 16 bits a pixel, and this one has 8"):
        next(iter(stream.pictures))


@pytest.mark.parametrize("size", [(640, 480), (1296, 1936), (739, 458), (130, 97), (4000, 300)])
def test_any_size_is_brought_to_what_the_network_takes(size: tuple[int, int]) -> None:
    prepared = fit_usual_area(Intrinsics(fx=1, fy=1, cx=0, cy=0), size)
    assert prepared.width % 8 == prepared.height % 8 == 0
    assert prepared.width * prepared.height <= 384 * 512
    assert prepared.resized[0] / prepared.resized[1] == pytest.approx(size[0] / size[1], rel=0.02)


@pytest.mark.parametrize(
    ("make", "mode"),
    [
        (lambda folder: make_tum(folder / "freiburg1_x", depth=True), "rgbd"),
        (lambda folder: make_euroc(folder / "MH_01"), "stereo"),
        (lambda folder: make_plain(folder / "own", "500 500 320 240"), "mono"),
    ],
)
def test_smaller_images_show_the_same(tmp_path: Path, make, mode: str) -> None:
    folder = make(tmp_path)
    for path in folder.rglob("*.png"):
        if "depth" not in path.parts:
            with Image.open(path) as image:
                size = image.size
            save(path, spot(size, np.array([0.7 * size[0], 0.4 * size[1]]), width=15))
    usual, small = opened(folder, mode=mode), opened(folder, mode=mode, max_image_size=160)
    assert max(small.width, small.height) <= 160
    assert small.width % 8 == small.height % 8 == 0
    first, second = next(iter(usual.pictures)), next(iter(small.pictures))
    assert second.image.shape == (3, small.height, small.width)
    assert second.depth is None or second.depth.shape == (small.height, small.width)
    ways = [
        (middle(frame.image[0]) - frame.intrinsics[2:]) / frame.intrinsics[:2] for frame in (first, second)
    ]
    # Half a small pixel, in the direction in which it is seen.
    np.testing.assert_allclose(ways[0], ways[1], atol=0.5 / second.intrinsics[0])
    assert opened(folder, mode=mode, max_image_size=4000).width == usual.width


def test_each_layout_is_told_by_what_is_in_it(tmp_path: Path) -> None:
    folders = {
        "euroc": make_euroc(tmp_path / "1", count=1),
        "tartanair": make_tartanair(tmp_path / "2", count=1),
        "eth3d": make_eth3d(tmp_path / "3", count=1),
        "tum": make_tum(tmp_path / "4", count=1),
        "plain": make_plain(tmp_path / "5", "1 1 1 1", count=1),
    }
    for name, folder in folders.items():
        layout = find_layout(folder)
        assert layout is not None
        assert layout.name == name
    assert find_layout(tmp_path) is None
    assert groundtruth_of(folders["euroc"]).name == "data.csv"
    assert groundtruth_of(folders["tartanair"]).name == "pose_left.txt"
    assert groundtruth_of(folders["tum"]).name == "groundtruth.txt"


def no_partner(folder: Path) -> Path:
    make_tartanair(folder)
    (folder / "image_right" / "000001_right.png").unlink()
    return folder


def mixed(folder: Path) -> Path:
    make_plain(folder, "500 500 320 240", size=(640, 480))
    save(folder / "images" / "1.png", noise((480, 640), 1))
    return folder


def unsorted(folder: Path) -> Path:
    make_tum(folder)
    lines = (folder / "rgb.txt").read_text().splitlines()
    (folder / "rgb.txt").write_text("\n".join([*lines[1:3][::-1], *lines[3:]]) + "\n")
    return folder


def small_euroc(folder: Path) -> Path:
    make_euroc(folder)
    for path in (folder / "mav0" / "cam0" / "data").iterdir():
        save(path, noise((376, 240), 1))
    return folder


def odd_name(folder: Path) -> Path:
    make_euroc(folder)
    save(folder / "mav0" / "cam0" / "data" / "first.png", noise((752, 480), 1))
    return folder


@pytest.mark.parametrize(
    ("make", "choice", "message"),
    [
        (mixed, {}, r"1.png is 480x640, but 0.png is 640x480; one sequence is one camera"),
        (lambda folder: make_plain(folder, "500 500 320"), {}, "calib.txt:1: 3 numbers"),
        (
            lambda folder: make_plain(folder, "500 500 3200 240"),
            {},
            "principal point .* is outside the 657x481",
        ),
        (lambda folder: make_plain(folder, "# none"), {}, "0 lines of numbers"),
        (
            lambda folder: make_plain(folder, "9 9 9 9"),
            {"mode": "stereo"},
            "images of one camera; leave --stereo",
        ),
        (
            lambda folder: make_plain(folder, "9 9 9 9"),
            {"mode": "rgbd"},
            "rgb.txt and depth.txt, or leave --depth",
        ),
        (make_tum, {"mode": "rgbd"}, "it has no depth.txt, so there are no depth images"),
        (make_tum, {}, "the camera is unknown; write `fx fy cx cy"),
        (unsorted, {"is_strict": True}, r"rgb.txt: 1 of \d rows are earlier than the one before \(line 2\)"),
        (make_euroc, {"mode": "rgbd"}, "EuRoC has no depth images; leave --depth out"),
        (small_euroc, {}, "images are 376x240, but EuRoC's are 752x480"),
        (odd_name, {}, "first.png: the name of an image is its time in nanoseconds"),
        (no_partner, {"mode": "stereo"}, r"image_right: nothing for 000001_left.png \(1 of 3"),
        (make_eth3d, {"t0": 1}, r"2 of 3 images are taken .* smaller --stride or --t0"),
    ],
)
def test_what_is_wrong_is_said(tmp_path: Path, make, choice: dict[str, str], message: str) -> None:
    folder = make(tmp_path / "sequence")
    with pytest.raises(InputError, match=message):
        opened(folder, **choice)


def test_a_calibration_is_asked_for(tmp_path: Path) -> None:
    folder = make_plain(tmp_path / "own", "")
    (folder / "calib.txt").unlink()
    with pytest.raises(
        InputError, match=r"own: the camera is unknown; write `fx fy cx cy .* to .*calib.txt, or put a"
    ):
        opened(folder)
