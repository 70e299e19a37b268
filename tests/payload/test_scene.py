import hashlib
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slam.dataset.camera import Intrinsics
from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice
from slam.demo.raster import Surface, Texture, make_rays, render, trace
from slam.demo.room import build_room
from slam.demo.scene import camera_path, main, make_scene, quaternion
from slam.demo.shape import Ball, Pose, Quad
from slam.errors import OutputError

# A camera at the origin that looks along the world's y, with z up.
LOOKING_ALONG_Y = np.array([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]])


def plain(color: float, size: int = 64) -> Texture:
    return Texture(np.full((size, size, 3), color, np.float32), size / 2)


def matrix(x: float, y: float, z: float, w: float) -> np.ndarray:
    """The rotation of a unit quaternion, written out apart from the program's own."""
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


def digest(folder: Path) -> str:
    total = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        total.update(str(path.relative_to(folder)).encode() + path.read_bytes())
    return total.hexdigest()


def test_a_dot_is_seen_where_the_camera_says() -> None:
    # A wall 2 m ahead, 4 m wide and high, black but for one texel of 0.125 m.
    light = np.zeros((32, 32, 3), np.float32)
    light[13, 20] = 1
    wall = Quad(origin=np.array([-2.0, 2, 2]), edge_u=np.array([4.0, 0, 0]), edge_v=np.array([0, 0, -4.0]))
    camera = Intrinsics(fx=100, fy=120, cx=100, cy=50)
    pose = Pose(position=np.zeros(3), rotation=LOOKING_ALONG_Y)
    image = render([Surface(shape=wall, texture=Texture(light, 8))], camera, 200, 100, pose)
    weight = (image[..., 0] / 255.0) ** 2.2
    rows, columns = np.mgrid[0:100, 0:200] + 0.5
    # The texel's middle is at x = -2 + 20.5 / 8 = 0.5625, z = 2 - 13.5 / 8 = 0.3125.
    assert (weight * columns).sum() / weight.sum() == pytest.approx(100 + 100 * 0.5625 / 2, abs=0.05)
    assert (weight * rows).sum() / weight.sum() == pytest.approx(50 - 120 * 0.3125 / 2, abs=0.05)


def test_the_nearer_thing_is_seen_and_depth_is_along_the_axis() -> None:
    wall = Quad(origin=np.array([-9.0, 4, 9]), edge_u=np.array([18.0, 0, 0]), edge_v=np.array([0, 0, -18.0]))
    ball = Ball(centre=np.array([0.0, 2, 0]), radius=0.5)
    camera = Intrinsics(fx=50, fy=50, cx=50.5, cy=50.5)
    rays = make_rays(camera, 101, 101, Pose(position=np.zeros(3), rotation=LOOKING_ALONG_Y))
    surfaces = [Surface(shape=wall, texture=plain(0.2)), Surface(shape=ball, texture=plain(0.9))]
    depth, light = trace(surfaces, rays)
    assert depth[50, 50] == pytest.approx(1.5, abs=1e-5)
    assert light[50, 50] == pytest.approx(0.9, abs=1e-5)
    np.testing.assert_allclose(depth[0], 4, atol=1e-5)
    np.testing.assert_allclose(light[0], 0.2, atol=1e-5)
    # The ball's rim is seen under asin(0.5 / 2): 50 * tan(14.5 degrees) = 12.9 pixels from the middle.
    assert (depth[50] < 3).sum() == 2 * 12 + 1
    behind = trace(
        surfaces, make_rays(camera, 5, 5, Pose(position=np.array([0.0, 9, 0]), rotation=LOOKING_ALONG_Y))
    )
    assert np.isinf(behind[0]).all()


@pytest.mark.parametrize(
    ("rotation", "expected"),
    [
        (np.eye(3), [0, 0, 0, 1]),
        ([[0, -1, 0], [1, 0, 0], [0, 0, 1]], [0, 0, 0.5**0.5, 0.5**0.5]),
        (np.diag([1, -1, -1]), [1, 0, 0, 0]),
        (np.diag([-1, 1, -1]), [0, 1, 0, 0]),
        (LOOKING_ALONG_Y, [-(0.5**0.5), 0, 0, 0.5**0.5]),
    ],
)
def test_quaternions_of_known_rotations(rotation: np.ndarray, expected: list[float]) -> None:
    found = quaternion(np.asarray(rotation, float))
    assert min(abs(found - expected).max(), abs(found + expected).max()) < 1e-12
    np.testing.assert_allclose(matrix(*found), rotation, atol=1e-12)


def test_the_camera_is_upright_moves_on_and_turns_smoothly() -> None:
    poses = camera_path(40)
    steps = np.linalg.norm(np.diff([pose.position for pose in poses], axis=0), axis=1)
    assert 0.05 < steps.min() <= steps.max() < 0.15
    for one, other in pairwise(poses):
        np.testing.assert_allclose(one.rotation @ one.rotation.T, np.eye(3), atol=1e-12)
        assert np.linalg.det(one.rotation) == pytest.approx(1)
        assert one.rotation[2, 1] < -0.9  # the image's down is the world's
        cosine = (np.trace(one.rotation.T @ other.rotation) - 1) / 2
        assert np.degrees(np.arccos(cosine)) < 4


def read_pose(line: str) -> tuple[np.ndarray, np.ndarray]:
    values = [float(word) for word in line.split()][1:]
    return np.array(values[:3]), matrix(*values[3:])


def gray(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("L"), float)


def follow(
    pixels: np.ndarray, depth: np.ndarray, one: tuple, other: tuple, camera: list[float]
) -> np.ndarray:
    """Where pixels [n, 2] of one image, ``depth`` [n] away, are in the other, by its pose."""
    fx, fy, cx, cy = camera
    ahead = np.stack([(pixels[:, 0] - cx) / fx, (pixels[:, 1] - cy) / fy, np.ones(len(pixels))], axis=1)
    world = (ahead * depth[:, None]) @ one[1].T + one[0]
    seen = (world - other[0]) @ other[1]
    return np.stack([fx * seen[:, 0] / seen[:, 2] + cx, fy * seen[:, 1] / seen[:, 2] + cy], axis=1)


@pytest.fixture(scope="module")
def room() -> list[Surface]:
    return build_room(threads=2)


def correlation(room: list[Surface], scene: Path, moved: float) -> float:
    """How well the 4th image predicts the 5th through the files' poses, the latter ``moved`` metres."""
    camera = [float(word) for word in (scene / "calib.txt").read_text().split()]
    lines = (scene / "groundtruth.txt").read_text().splitlines()[1:]
    one, (position, rotation) = read_pose(lines[3]), read_pose(lines[4])
    other = position + np.array([moved, 0, 0]), rotation
    images = sorted((scene / "rgb").iterdir())
    first, second = gray(images[3]), gray(images[4])
    height, width = first.shape
    fx, fy, cx, cy = camera
    rays = make_rays(
        Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy), width, height, Pose(position=one[0], rotation=one[1])
    )
    depth, _ = trace(room, rays)
    rows, columns = np.mgrid[20 : height - 20 : 3, 20 : width - 20 : 3].reshape(2, -1)
    found = follow(np.stack([columns, rows], axis=1) + 0.5, depth[rows, columns], one, other, camera)
    near = np.floor(found).astype(int)
    inside = (near >= 0).all(axis=1) & (near < [width, height]).all(axis=1)
    predicted = first[rows[inside], columns[inside]]
    return float(np.corrcoef(predicted, second[near[inside, 1], near[inside, 0]])[0, 1])


def test_the_ground_truth_is_the_camera_that_took_the_images(room: list[Surface], scene: Path) -> None:
    # By poses and camera as they stand in the files, the frames being 0.45 m apart.
    right, wrong = correlation(room, scene, 0), correlation(room, scene, 0.05)
    assert right > 0.85
    assert wrong < right - 0.2


def test_near_things_move_more_than_far_ones(scene: Path) -> None:
    camera = [float(word) for word in (scene / "calib.txt").read_text().split()]
    lines = (scene / "groundtruth.txt").read_text().splitlines()[1:]
    one, other = read_pose(lines[3]), read_pose(lines[4])
    # The same ray through the image's middle, 2 m and 4 m deep.
    middle = np.tile([[camera[2], camera[3]]], (2, 1))
    found = follow(middle, np.array([2.0, 4.0]), one, other, camera)
    assert abs(found[0] - found[1]).max() > 20


def test_is_a_tum_sequence(scene: Path) -> None:
    sequence = open_sequence(scene, Choice(as_taken=True))
    assert (len(sequence.frames), sequence.width, sequence.height) == (8, 320, 240)
    assert sequence.is_video
    assert sequence.intrinsics == Intrinsics(fx=262.5, fy=262.5, cx=160, cy=120)
    assert sequence.groundtruth == scene / "groundtruth.txt"
    assert sequence.frames[1].stamp == "1700000000.100000"
    assert all(np.std(gray(frame.image)) > 20 for frame in sequence.frames)


@pytest.mark.long
def test_two_runs_write_the_same_bytes(tmp_path: Path, job_environment: dict[str, str]) -> None:
    make_scene(tmp_path / "one", frames=2, width=160)
    subprocess.run(
        [sys.executable, "-m", "slam.demo.scene", tmp_path / "two", "--frames", "2", "--width", "160"],
        env={**job_environment, "OMP_NUM_THREADS": "1"},
        check=True,
    )
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


@pytest.fixture
def instant(monkeypatch: pytest.MonkeyPatch) -> None:
    """A room with nothing but one wall, because these tests are about folders."""
    wall = Quad(origin=np.array([-9.0, 4, 9]), edge_u=np.array([18.0, 0, 0]), edge_v=np.array([0, 0, -18.0]))
    monkeypatch.setattr("slam.demo.scene.build_room", lambda _: [Surface(shape=wall, texture=plain(0.5))])


@pytest.mark.usefixtures("instant")
def test_makes_its_own_folder_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dest = tmp_path / "deep" / "room"
    assert main([str(dest), "--frames", "5", "--width", "32"]) == 0
    assert main([str(dest), "--frames", "3", "--width", "32"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == f"{dest}: 3 frames of 32x24"
    assert len(list((dest / "rgb").iterdir())) == 3
    assert [path.name for path in dest.parent.iterdir()] == ["room"]


@pytest.mark.usefixtures("instant")
def test_depth_is_that_of_the_wall_in_tum_s_unit(tmp_path: Path) -> None:
    assert main([str(tmp_path / "room"), "--frames", "3", "--width", "64", "--depth"]) == 0
    sequence = open_sequence(tmp_path / "room", Choice(mode="rgbd", as_taken=True))
    assert len(sequence.frames) == 3
    truth = np.loadtxt(tmp_path / "room" / "groundtruth.txt")
    for frame, (_, *position, x, y, z, w) in zip(sequence.frames, truth, strict=True):
        assert frame.depth is not None
        metres = np.asarray(Image.open(frame.depth)) / 5000
        # The wall is at y = 4; 525/640 of 64 pixels is the focal length, 32 and 24 the middle.
        pixels = np.mgrid[0:48, 0:64] + 0.5
        rays = np.stack([(pixels[1] - 32) / 52.5, (pixels[0] - 24) / 52.5, np.ones((48, 64))], -1)
        along_y = rays @ matrix(x, y, z, w)[1]
        np.testing.assert_allclose(metres, (4 - position[1]) / along_y, atol=2e-4)


@pytest.mark.usefixtures("instant")
def test_spares_the_folders_of_others_unless_forced(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "thesis.tex").write_text("")
    arguments = [str(tmp_path), "--frames", "3", "--width", "32"]
    assert main(arguments) == 5
    assert (
        capsys.readouterr().err
        == f"slam: {tmp_path} holds something else; name another folder, or --force to replace it\n"
    )
    assert (tmp_path / "thesis.tex").exists()
    assert main([*arguments, "--force"]) == 0
    assert not (tmp_path / "thesis.tex").exists()
    with pytest.raises(OutputError, match="is a file"):
        make_scene(tmp_path / "rgb.txt", frames=3, width=32)


def test_a_failed_run_leaves_the_old_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "scene.json").write_text("{}")

    def fail(*_: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("slam.demo.scene.build_room", fail)
    with pytest.raises(RuntimeError):
        make_scene(tmp_path / "room", frames=3, width=32)
    assert [path.name for path in tmp_path.iterdir()] == ["room"]
    assert [path.name for path in (tmp_path / "room").iterdir()] == ["scene.json"]
