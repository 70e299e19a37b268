"""What other programs go on from: poses, cameras and points in their formats, held against these programs."""

import csv
import json
import struct
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from evo.tools import file_interface
from PIL import Image
from scipy.spatial.transform import Rotation

from slam.output.camera import PARAMETERS, Camera
from slam.output.cloud import Cloud, thin
from slam.output.frustum import measure_depth, write_frustums
from slam.output.model import MODELS, MOST_POINTS, write_model
from slam.output.nerf import describe, why_not, write_transforms
from slam.output.pose import poses_of_files, write_euroc, write_kitti, write_poses
from slam.output.undistortion import write_undistorted
from slam.trajectory import Trajectory

CAMERA = Camera(
    model="OPENCV", parameters=(300, 310, 170, 115, -0.2, 0.05, 0.001, -0.002), width=320, height=240
)


def some_trajectory(count: int = 20) -> Trajectory:
    random = np.random.default_rng(4)
    return Trajectory(
        stamps=tuple(f"{1403636579.763555527 + place / 20:.9f}" for place in range(count)),
        positions=random.normal(size=(count, 3)) * [30, 0.01, 2],
        quaternions=Rotation.random(count, rng=random).as_quat(),
    )


def some_cloud(count: int) -> Cloud:
    random = np.random.default_rng(5)
    return Cloud(
        points=random.normal(size=(count, 3)), colors=random.integers(0, 256, (count, 3), dtype=np.uint8)
    )


def test_evo_reads_the_kitti_format(tmp_path: Path) -> None:
    trajectory = some_trajectory()
    write_kitti(tmp_path / "t.kitti", trajectory)
    read = file_interface.read_kitti_poses_file(tmp_path / "t.kitti")
    np.testing.assert_allclose(read.positions_xyz, trajectory.positions, atol=1e-9)
    turns = Rotation.from_quat(trajectory.quaternions).as_matrix()
    np.testing.assert_allclose([pose[:3, :3] for pose in read.poses_se3], turns, atol=1e-9)
    assert read.check()[0]


def test_evo_reads_the_euroc_format(tmp_path: Path) -> None:
    trajectory = some_trajectory()
    write_euroc(tmp_path / "t.csv", trajectory)
    read = file_interface.read_euroc_csv_trajectory(tmp_path / "t.csv")
    np.testing.assert_allclose(read.positions_xyz, trajectory.positions, atol=1e-9)
    np.testing.assert_allclose(
        np.roll(read.orientations_quat_wxyz, -1, axis=1), trajectory.quaternions, atol=1e-9
    )
    # Doubles of so many seconds since 1970 lie 2e-7 apart; the file has every digit.
    np.testing.assert_allclose(read.timestamps, trajectory.times, atol=1e-6)
    first = (tmp_path / "t.csv").read_text().splitlines()[1]
    assert first.startswith("14036365797635555")
    assert len(first.split(",")) == 8


def test_a_place_is_so_many_seconds_in_the_euroc_format(tmp_path: Path) -> None:
    places = replace(some_trajectory(2), stamps=("0", "17"))
    write_euroc(tmp_path / "t.csv", places)
    assert [line.split(",")[0] for line in (tmp_path / "t.csv").read_text().splitlines()[1:]] == [
        "0",
        "17000000000",
    ]


def test_every_frame_has_a_row_by_its_images_name(tmp_path: Path) -> None:
    trajectory = Trajectory(
        stamps=("10.5", "12.5"),
        positions=np.array([[1.0, 2, 3], [4, 5, 6]]),
        quaternions=np.array([[0.0, 0, 0, 1], [1, 0, 0, 0]]),
    )
    names = ("a.png", "b, the second.png", "sub/c.png", 'd"\udce9.png')
    write_poses(
        tmp_path / "poses.csv",
        trajectory,
        names=names,
        stamps=("10.5", "11.5", "12.5", "13.5"),
        placed=(0, 2),
        models={0: 0, 2: 0, 3: 1},
    )
    with (tmp_path / "poses.csv").open(newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = list(csv.reader(file))
    assert rows == [
        ["frame", "image", "timestamp", "placed", "model", "tx", "ty", "tz", "qx", "qy", "qz", "qw"],
        ["0", names[0], "10.5", "yes", "0", *(f"{value:.9f}" for value in (1, 2, 3, 0, 0, 0, 1))],
        ["1", names[1], "11.5", "no", "", *[""] * 7],
        ["2", names[2], "12.5", "yes", "0", *(f"{value:.9f}" for value in (4, 5, 6, 1, 0, 0, 0))],
        ["3", names[3], "13.5", "no", "1", *[""] * 7],
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["poses.csv"]


def test_cameras_have_colmaps_numbers_and_parameters() -> None:
    import pycolmap

    assert set(MODELS) == set(PARAMETERS)
    for name, parameters in PARAMETERS.items():
        model = pycolmap.CameraModelId.__members__[name]
        assert MODELS[name] == int(model)
        info = pycolmap.Camera(model=name, params=[1.0] * len(parameters.split()), width=8, height=8)
        # COLMAP calls the only coefficient of a simple radial camera k.
        ours = parameters.split()
        theirs = ["k1" if one == "k" else one for one in info.params_info.split(", ")]
        assert ours == theirs, name


def test_a_camera_by_hand_for_nerf(tmp_path: Path) -> None:
    """At the origin, one that looks ahead as COLMAP's do looks along -z in OpenGL, with y upwards."""
    trajectory = Trajectory(
        stamps=("0", "1"),
        positions=np.array([[0.0, 0, 0], [1, 2, 3]]),
        # The second has turned to the right by a quarter, about the axis that points down.
        quaternions=np.array([[0.0, 0, 0, 1], [0, np.sqrt(0.5), 0, np.sqrt(0.5)]]),
    )
    simple = Camera(model="SIMPLE_RADIAL", parameters=(400, 160, 120, 0.01), width=320, height=240)
    write_transforms(
        tmp_path / "t.json", simple, trajectory, ("images/a.jpg", "images/sub/b.jpg"), cloud="cloud.ply"
    )
    written = json.loads((tmp_path / "t.json").read_text())
    frames = written.pop("frames")
    assert written == {
        "camera_model": "OPENCV",
        "is_fisheye": False,
        "w": 320,
        "h": 240,
        "fl_x": 400,
        "fl_y": 400,
        "cx": 160,
        "cy": 120,
        "k1": 0.01,
        "aabb_scale": 16,
        "ply_file_path": "cloud.ply",
    }
    assert [frame["file_path"] for frame in frames] == ["images/a.jpg", "images/sub/b.jpg"]
    np.testing.assert_allclose(frames[0]["transform_matrix"], np.diag([1, -1, -1, 1]), atol=1e-12)
    # Its right is -z of the world, its up is -y, its back is -x.
    turned = [[0, 0, -1, 1], [0, -1, 0, 2], [-1, 0, 0, 3], [0, 0, 0, 1]]
    np.testing.assert_allclose(frames[1]["transform_matrix"], turned, atol=1e-12)


def test_cameras_that_nerf_has_words_for() -> None:
    fisheye = Camera(model="OPENCV_FISHEYE", parameters=(1, 2, 3, 4, 0.1, 0.2, 0.3, 0.4), width=6, height=8)
    described = describe(fisheye)
    assert (described["camera_model"], described["is_fisheye"]) == ("OPENCV_FISHEYE", True)
    assert [described[name] for name in ("k1", "k2", "k3", "k4")] == [0.1, 0.2, 0.3, 0.4]
    full = replace(CAMERA, model="FULL_OPENCV", parameters=(*CAMERA.parameters, 0.3, 0, 0, 0))
    assert why_not(full) is None
    assert {name: describe(full)[name] for name in ("k1", "k2", "p1", "p2", "k3")} == {
        "k1": -0.2, "k2": 0.05, "p1": 0.001, "p2": -0.002, "k3": 0.3,
    }  # fmt: skip
    assert "k4" not in describe(full)
    rational = replace(full, parameters=(*CAMERA.parameters, 0.3, 0.1, 0, 0))
    assert why_not(rational) == "the camera's k4, k5 and k6"
    assert why_not(replace(CAMERA, model="FOV")) == "the camera model FOV"


@pytest.mark.parametrize("suffix", [".bin", ".txt"])
def test_colmap_opens_a_model_without_tracks(tmp_path: Path, suffix: str) -> None:
    import pycolmap

    trajectory, cloud = some_trajectory(3), some_cloud(50)
    names = ("a.png", "sub/b.png", "c.png")
    write_model(tmp_path / "0", CAMERA, trajectory, names, cloud, text=suffix == ".txt")
    assert {path.suffix for path in (tmp_path / "0").iterdir()} == {".bin", suffix}
    for path in (tmp_path / "0").iterdir():
        if path.suffix != suffix:
            path.unlink()
    model = pycolmap.Reconstruction(tmp_path / "0")
    (camera,) = model.cameras.values()
    assert (camera.model_name, camera.width, camera.height) == ("OPENCV", 320, 240)
    assert camera.params.tolist() == list(CAMERA.parameters)
    images = [model.image(number) for number in sorted(model.reg_image_ids())]
    assert [image.name for image in images] == list(names)
    centres = [image.projection_center() for image in images]
    np.testing.assert_allclose(centres, trajectory.positions, atol=1e-12)
    turns = [image.cam_from_world().inverse().rotation.matrix() for image in images]
    np.testing.assert_allclose(turns, Rotation.from_quat(trajectory.quaternions).as_matrix(), atol=1e-12)
    points = [model.points3D[number] for number in sorted(model.points3D)]
    np.testing.assert_allclose([point.xyz for point in points], cloud.points, atol=1e-12)
    np.testing.assert_array_equal([point.color for point in points], cloud.colors)


def test_a_model_has_no_more_points_than_are_needed(tmp_path: Path) -> None:
    import pycolmap

    cloud = some_cloud(2 * MOST_POINTS + 2)
    assert len(thin(cloud, MOST_POINTS)) == pytest.approx(MOST_POINTS * 2 / 3, abs=1)
    write_model(tmp_path / "0", CAMERA, some_trajectory(1), ("a.png",), cloud, text=False)
    model = pycolmap.Reconstruction(tmp_path / "0")
    np.testing.assert_allclose(model.points3D[2].xyz, cloud.points[3], atol=1e-12)


def test_poses_of_files_that_were_rectified() -> None:
    """What a camera sees along an axis is seen along the turned axis by the rectified one."""
    turn = Rotation.from_euler("xyz", (10, 20, 30), degrees=True)
    camera = replace(CAMERA, turn=tuple(turn.as_matrix().ravel()))
    trajectory = some_trajectory()
    poses = poses_of_files(trajectory, camera)
    seen = np.array([0.1, -0.2, 1])
    for ours, rectified in zip(poses.quaternions, trajectory.quaternions, strict=True):
        expected = Rotation.from_quat(rectified).apply(turn.apply(seen))
        np.testing.assert_allclose(Rotation.from_quat(ours).apply(seen), expected, atol=1e-12)
    assert poses_of_files(trajectory, CAMERA) is trajectory


def test_frustums_end_at_the_corners_of_images(tmp_path: Path) -> None:
    import pycolmap

    trajectory = some_trajectory(7)
    pinhole = Camera(model="PINHOLE", parameters=(300, 310, 170, 115), width=320, height=240)
    write_frustums(tmp_path / "c.ply", pinhole, trajectory, 0.5)
    header, _, body = (tmp_path / "c.ply").read_bytes().partition(b"end_header\n")
    assert b"element vertex 42\n" in header
    assert b"element face 35\nproperty list uchar int vertex_indices\n" in header
    vertices = np.array(list(struct.iter_unpack("<fffBBB", body[: 42 * 15]))).reshape(7, 6, 6)
    faces = list(struct.iter_unpack("<Biii", body[42 * 15 :]))
    assert len(faces) == 35
    assert {face[0] for face in faces} == {3}
    # Each face is of one camera.
    assert [{corner // 6 for corner in face[1:]} for face in faces] == [{place // 5} for place in range(35)]
    lens = pycolmap.Camera(model="PINHOLE", params=pinhole.parameters, width=320, height=240)
    for pyramid, centre, quaternion in zip(
        vertices, trajectory.positions, trajectory.quaternions, strict=True
    ):
        np.testing.assert_allclose(pyramid[0, :3], centre, atol=1e-5)
        local = Rotation.from_quat(quaternion).inv().apply(pyramid[1:5, :3] - centre)
        pixels = [lens.img_from_cam(point) for point in local]
        np.testing.assert_allclose(pixels, [[0, 0], [320, 0], [320, 240], [0, 240]], atol=0.02)
    # The first is blue and the last is red.
    assert vertices[0, 0, 3:].tolist() == [31, 111, 214]
    assert vertices[-1, -1, 3:].tolist() == [214, 56, 47]


def test_of_many_cameras_some_are_drawn_from_the_first_to_the_last(tmp_path: Path) -> None:
    trajectory = some_trajectory(1000)
    write_frustums(tmp_path / "c.ply", CAMERA, trajectory, 0.5)
    header, _, body = (tmp_path / "c.ply").read_bytes().partition(b"end_header\n")
    assert b"element vertex 1200\n" in header
    centres = np.array(list(struct.iter_unpack("<fffBBB", body[: 1200 * 15])))[::6, :3]
    np.testing.assert_allclose(centres[[0, -1]], trajectory.positions[[0, -1]], atol=1e-5)


def test_frustums_are_as_large_as_can_be_seen() -> None:
    path, cloud = some_trajectory(), some_cloud(5000)
    assert measure_depth(path, cloud) == pytest.approx(0.05 * np.linalg.norm(np.ptp(path.positions, axis=0)))
    still = replace(path, positions=np.zeros((20, 3)))
    assert 0.02 < measure_depth(still, cloud) < 0.2
    assert measure_depth(still, some_cloud(0)) == 1


@pytest.mark.parametrize(
    ("model", "bends"),
    [
        ("OPENCV", (-0.2, 0.05, 0.001, -0.002)),
        ("OPENCV_FISHEYE", (-0.02, 0.01, 0, 0)),
        ("FULL_OPENCV", (0.26, -0.95, -0.005, 0.003, 1.16, 0, 0, 0)),
        ("PINHOLE", ()),
    ],
)
def test_undistorted_images_show_what_a_pinhole_sees(
    tmp_path: Path, model: str, bends: tuple[float, ...]
) -> None:
    """Colours say where in the file they were; COLMAP says where a direction is in the file."""
    import pycolmap

    camera = Camera(model=model, parameters=(300, 310, 170, 115, *bends), width=320, height=240)
    rows, columns = np.mgrid[:240, :320] + 0.5
    taken = np.stack([columns * 0.75, rows * 1.0, np.full((240, 320), 7.0)], -1)
    (tmp_path / "in").mkdir()
    sources = [tmp_path / "in" / name for name in ("a.png", "b.pgm")]
    Image.fromarray(np.rint(taken).astype(np.uint8)).save(sources[0])
    Image.fromarray(np.rint(taken[..., 1]).astype(np.uint8)).save(sources[1])
    out = tmp_path / "out"
    write_undistorted(
        out,
        camera,
        some_trajectory(2),
        ("a.png", "sub/b.pgm"),
        [np.asarray(Image.open(path).convert("RGB"))[:, :, ::-1] for path in sources],
        some_cloud(9),
        text=False,
        threads=2,
    )
    found = pycolmap.Reconstruction(out / "sparse" / "0")
    (straight,) = found.cameras.values()
    assert (straight.model_name, straight.width, straight.height) == ("PINHOLE", 320, 240)
    assert sorted(image.name for image in found.images.values()) == ["a.png", "sub/b.pgm.png"]
    values = json.loads((out / "transforms.json").read_text())
    assert [values[name] for name in ("fl_x", "fl_y", "cx", "cy")] == straight.params.tolist()
    lens = pycolmap.Camera(model=model, params=camera.parameters, width=320, height=240)
    shown = np.asarray(Image.open(out / "images" / "a.png")).astype(float)
    grey = np.asarray(Image.open(out / "images" / "sub" / "b.pgm.png")).astype(float)
    for pixel in np.random.default_rng(0).integers((1, 1), (319, 239), (200, 2)):
        place = straight.cam_from_img(pixel + 0.5)
        x, y = lens.img_from_cam([*place, 1])
        # Nothing from beyond the image; the outermost half pixel is cut off by its mixing with nothing.
        assert 0 <= x <= 320
        assert 0 <= y <= 240
        if 1 < x < 319 and 1 < y < 239:
            np.testing.assert_allclose(shown[pixel[1], pixel[0]], [x * 0.75, y, 7], atol=1.2)
            np.testing.assert_allclose(grey[pixel[1], pixel[0]], y, atol=1.2)
