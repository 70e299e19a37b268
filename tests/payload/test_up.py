from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from slam.dataset.euroc import CAMERA_IN_BODY, LEFT_RECTIFICATION
from slam.dataset.gravity import axis_of_truth, read_rises
from slam.dataset.sequence import Frame, Sequence
from slam.output.cloud import Cloud
from slam.output.figure.options import AXES
from slam.output.figure.projection import look
from slam.output.up import Up, along, axis_direction, find_by_cameras, find_by_gravity, find_by_plane
from slam.output.view import place_eye
from slam.posefile.format import EUROC, KITTI, TARTANAIR, TUM, Format
from slam.trajectory import CAMERA, Trajectory
from tests.payload.drawn import LEVEL, walk

# Any world that nobody has levelled.
WORLD = Rotation.from_rotvec([0.8, -1.1, 0.5])
TRUE_UP = WORLD.apply([0.0, 0, 1])


def angle(found: Up | None, true: np.ndarray = TRUE_UP) -> float:
    assert found is not None
    assert np.linalg.norm(found.direction) == pytest.approx(1)
    return float(np.degrees(np.arccos(np.clip(found.direction @ true, -1, 1))))


def held(pans: np.ndarray, tilts: np.ndarray, rolls: np.ndarray) -> np.ndarray:
    """Cameras [n, 4] turned by degrees: around the vertical, down, and to a side."""
    pan = Rotation.from_rotvec(np.outer(np.radians(pans), [0, 0, 1]))
    tilt = Rotation.from_rotvec(np.outer(np.radians(tilts), [-1, 0, 0]))
    roll = Rotation.from_rotvec(np.outer(np.radians(rolls), [0, 0, 1]))
    return (WORLD * pan * LEVEL * tilt * roll).as_quat()


def test_cameras_that_pan_say_what_is_up_however_far_they_look_down() -> None:
    rng = np.random.default_rng(0)
    quaternions = held(np.linspace(0, 120, 60), np.full(60, 35.0), rng.normal(scale=2, size=60))
    assert angle(find_by_cameras(quaternions)) < 1.5
    # Their mean upward direction is another one.
    mean = -Rotation.from_quat(quaternions).as_matrix()[:, :, 1].mean(0)
    assert angle(Up(direction=mean / np.linalg.norm(mean), source="")) > 15


def test_cameras_that_look_one_way_give_their_own_up() -> None:
    level = held(np.zeros(9), np.zeros(9), np.linspace(-3, 3, 9))
    assert angle(find_by_cameras(level)) < 0.5
    down = held(np.zeros(9), np.full(9, 20.0), np.zeros(9))
    assert angle(find_by_cameras(down)) == pytest.approx(20, abs=0.1)


def test_cameras_that_are_held_in_all_ways_say_nothing() -> None:
    rolls = np.linspace(0, 360, 12, endpoint=False)
    assert find_by_cameras(held(np.zeros(12), np.zeros(12), rolls)) is None


def test_the_plane_below_the_cameras() -> None:
    rng = np.random.default_rng(1)
    floor = rng.uniform(-3, 3, (600, 3)) * [1, 1, 0] + rng.normal(scale=0.005, size=(600, 3))
    clutter = rng.uniform(-3, 3, (700, 3)) + np.array([0, 0, 3.0])
    cameras = rng.uniform(-1, 1, (20, 3)) + np.array([0, 0, 1.6])
    points = WORLD.apply(np.concatenate([floor, clutter]))
    assert angle(find_by_plane(points, WORLD.apply(cameras))) < 1
    # Seen from below it is a ceiling.
    assert angle(find_by_plane(points, WORLD.apply(cameras * [1, 1, -1]))) > 179


def test_points_on_no_plane_say_nothing() -> None:
    ball = np.random.default_rng(2).normal(size=(3000, 3))
    assert find_by_plane(ball, np.zeros((5, 3))) is None
    assert find_by_plane(np.zeros((50, 3)), np.zeros((5, 3))) is None
    assert find_by_plane(np.zeros((0, 3)), np.zeros((5, 3))) is None


def euroc(folder: Path, times: np.ndarray, body: Rotation, push: np.ndarray) -> Sequence:
    """Frames, and an accelerometer at 200 Hz in a body that is turned so, and pushed by ``push`` (m/s²)."""
    images = folder / "mav0" / "cam0" / "data"
    (folder / "mav0" / "imu0").mkdir(parents=True)
    rows = ["#timestamp [ns],w x,w y,w z,a x,a y,a z"]
    # At rest it measures what holds it up.
    for time, felt in zip(times, body.inv().apply(9.81 * TRUE_UP + push), strict=True):
        rows.append(f"{round(time * 1e9)},0,0,0,{felt[0]},{felt[1]},{felt[2]}")
    (folder / "mav0" / "imu0" / "data.csv").write_text("\n".join(rows) + "\n")
    frames = tuple(Frame(stamp=f"{time}", image=images / f"{time * 1e9:.0f}.png") for time in times[::20])
    return Sequence(name="", frames=frames, width=752, height=480, frame="raw-camera")


def test_an_accelerometer_says_what_is_up(tmp_path: Path) -> None:
    times = 1.4e9 + np.arange(0, 20, 0.005)
    rng = np.random.default_rng(3)
    body = Rotation.from_rotvec(np.cumsum(rng.normal(scale=0.02, size=(len(times), 3)), axis=0))
    sequence = euroc(tmp_path, times, body, rng.normal(scale=2, size=(len(times), 3)))
    moments = times[::20]
    in_body = Rotation.from_matrix(np.array(CAMERA_IN_BODY)[:, :3])
    camera = (body[::20] * in_body).as_quat()
    rises = read_rises(sequence, moments)
    assert rises is not None
    assert angle(find_by_gravity(rises, camera)) < 1
    # The camera as DROID-SLAM gets its images, rectified.
    turn = Rotation.from_matrix(np.reshape(LEFT_RECTIFICATION.rotation, (3, 3)))
    turned = read_rises(replace(sequence, frame=CAMERA), moments)
    assert turned is not None
    np.testing.assert_allclose(turned, turn.apply(rises), atol=1e-9)
    assert angle(find_by_gravity(turned, (body[::20] * in_body * turn.inv()).as_quat())) < 1
    # Another camera in the same body, which its own file describes as EuRoC's files do.
    other = Rotation.from_rotvec([0.3, -2, 1.0])
    numbers = np.eye(4)
    numbers[:3, :3] = other.as_matrix()
    rows = ",\n         ".join(", ".join(f"{one:.12f}" for one in row) for row in numbers)
    (tmp_path / "mav0" / "cam0").mkdir()
    (tmp_path / "mav0" / "cam0" / "sensor.yaml").write_text(
        f"sensor_type: camera\nT_BS:\n  cols: 4\n  rows: 4\n  data: [{rows}]\nrate_hz: 20\n"
    )
    elsewhere = read_rises(sequence, moments)
    assert elsewhere is not None
    assert angle(find_by_gravity(elsewhere, (body[::20] * other).as_quat())) < 1
    # Before it was switched on there is nothing.
    early = read_rises(sequence, moments - 100)
    assert early is not None
    assert find_by_gravity(early, camera) is None
    (tmp_path / "mav0" / "cam0" / "sensor.yaml").write_text("sensor_type: camera\n")
    assert read_rises(sequence, moments) is None


def test_what_is_no_accelerometer_is_no_error(tmp_path: Path) -> None:
    sequence = euroc(tmp_path, np.arange(0, 1, 0.005), Rotation.identity(200), np.zeros((200, 3)))
    (tmp_path / "mav0" / "imu0" / "data.csv").write_text("#timestamp\n1,2,three\n")
    assert read_rises(sequence, np.zeros(3)) is None
    plain = Sequence(name="", frames=(Frame(stamp="0", image=tmp_path / "a.png"),), width=4, height=4)
    assert read_rises(plain, np.zeros(3)) is None
    # Kilometres, or a thousand times g.
    assert find_by_gravity(np.full((5, 3), 9810.0), held(np.zeros(5), np.zeros(5), np.zeros(5))) is None


@pytest.mark.parametrize(
    ("path", "truth", "axis"),
    [
        ("mav0/state_groundtruth_estimate0/data.csv", EUROC, "z"),
        ("abandonedfactory/P001/pose_left.txt", TARTANAIR, "-y"),
        ("rgbd_dataset_freiburg2_desk/groundtruth.txt", TUM, "z"),
        ("room/groundtruth.txt", TUM, None),
        ("poses/00.txt", KITTI, None),
    ],
)
def test_worlds_of_published_truths(tmp_path: Path, path: str, truth: Format, axis: str | None) -> None:
    assert axis_of_truth(tmp_path / path, truth) == axis


def test_an_axis_that_is_near_is_taken() -> None:
    near = Rotation.from_rotvec([0, 0, np.radians(10)]).apply([0, -1.0, 0])
    snapped = Up(direction=near, source="by luck").snap()
    assert (snapped.axis, snapped.source) == ("-y", "-y, by luck")
    far = Rotation.from_rotvec([0, 0, np.radians(20)]).apply([0, -1.0, 0])
    assert Up(direction=far, source="by luck").snap().axis is None


@pytest.mark.parametrize("axis", AXES)
def test_nothing_is_mirrored_or_upside_down(axis: str) -> None:
    up = along(axis, "")
    way = np.random.default_rng(4).normal(size=(20, 3))
    above, side = look(up, way)
    # To the right, to the top and to the reader are a right-handed system.
    np.testing.assert_allclose(np.cross(*above.axes), up.direction, atol=1e-12)
    np.testing.assert_array_equal(side.axes[1], axis_direction(axis))
    assert abs(side.axes[0] @ up.direction) == 0
    assert side.labels[1] == axis.replace("-", "\N{MINUS SIGN}")
    assert set(above.labels) == set("xyz") - {axis[-1]}


def test_a_world_that_is_not_levelled_is_turned() -> None:
    """The path leads to the right, and what is high is at the top."""
    truth = np.stack([np.linspace(0, 9, 50), np.sin(np.linspace(0, 6, 50)), np.linspace(0, 2, 50)], 1)
    up = Up(direction=TRUE_UP, source="")
    above, side = look(up, WORLD.apply(truth))
    assert (above.labels, side.labels) == (("along", "across"), ("along", "up"))
    flat = side.project(WORLD.apply(truth))
    np.testing.assert_allclose(flat[:, 1] - flat[0, 1], truth[:, 2], atol=1e-9)
    assert flat[-1, 0] - flat[0, 0] == pytest.approx(9, abs=0.3)
    np.testing.assert_allclose(np.cross(*above.axes), TRUE_UP, atol=1e-9)


@pytest.mark.parametrize("way", [np.zeros((5, 3)), np.outer(np.arange(5), TRUE_UP)])
def test_who_goes_nowhere_but_up_is_drawn_too(way: np.ndarray) -> None:
    above, side = look(Up(direction=TRUE_UP, source=""), way)
    for projection in (above, side):
        np.testing.assert_allclose(projection.axes @ projection.axes.T, np.eye(2), atol=1e-9)


@pytest.mark.parametrize("tilt", [-40.0, 0.0, 60.0, 90.0])
def test_the_picture_of_a_cloud_is_upright(tilt: float) -> None:
    """Whatever is above something else is above it in the picture, too, and the cameras look into it."""
    count = 12
    way = WORLD.apply(walk(count, "line").positions)
    quaternions = held(np.zeros(count), np.full(count, tilt), np.zeros(count))
    trajectory = Trajectory(stamps=tuple(map(str, range(count))), positions=way, quaternions=quaternions)
    cloud = Cloud(
        points=WORLD.apply(np.random.default_rng(5).normal(size=(500, 3)) + np.array([2.0, 4, 0])),
        colors=np.zeros((500, 3), np.uint8),
    )
    eye, axes = place_eye(cloud, trajectory, TRUE_UP)
    np.testing.assert_allclose(axes.T @ axes, np.eye(3), atol=1e-9)
    assert np.linalg.det(axes) == pytest.approx(1)
    right, down, ahead = axes.T
    assert abs(right @ TRUE_UP) < 1e-9
    assert down @ TRUE_UP < -0.5
    assert ahead @ WORLD.apply([0.0, 1, 0]) > 0.5
    seen = (np.concatenate([cloud.points, way]) - eye) @ axes
    assert (seen[:, 2] > 0).all()
