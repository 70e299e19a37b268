"""What is made of DROID-SLAM's keyframes, on keyframes of a scene that is known exactly."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slam.dataset.sequence import Sequence
from slam.engine.droid.engine import export
from slam.engine.droid.options import Options
from slam.engine.droid.reconstruction import (
    Reconstruction,
    invert_poses,
    keyframe_trajectory,
    make_cloud,
    rotation_matrices,
)
from slam.output import results
from slam.output.camera import Camera
from slam.output.up import find_by_cameras
from slam.output.view import render
from slam.posefile.posefile import read_posefile
from tests.payload.datasets import frames_at

HEIGHT, WIDTH, KEYFRAMES, FRAMES = 96, 128, 12, 30
CAMERA = np.array([110.0, 112.0, 63.0, 47.0])  # fx fy cx cy
STAMPS = tuple(f"{1305031102 + place / 7:.6f}" for place in range(FRAMES))
# y points down: a wall 3 ahead, a floor 1 below, and a ball before the wall; red, green and blue.
BALL, RADIUS = np.array([0.2, 0.1, 2.2]), 0.4
COLORS = np.array([[220, 30, 30], [30, 220, 30], [30, 30, 220]], np.uint8)


def cast(directions: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far along each direction [n, 3] something is met, and what: 0 wall, 1 floor, 2 ball."""
    with np.errstate(divide="ignore", invalid="ignore"):
        wall = (3 - centre[2]) / directions[:, 2]
        floor = np.where(directions[:, 1] > 0, (1 - centre[1]) / directions[:, 1], np.inf)
        a = (directions**2).sum(1)
        b = directions @ (centre - BALL)
        root = b**2 - a * (((centre - BALL) ** 2).sum() - RADIUS**2)
        ball = np.where(root > 0, (-b - np.sqrt(np.maximum(root, 0))) / a, np.inf)
    distances = np.stack([wall, floor, ball])
    return distances.min(0), distances.argmin(0)


def camera_to_world(place: int) -> np.ndarray:
    """A camera that goes to the right and turns a little to the left about its y axis."""
    angle = -0.01 * place
    return np.array([0.04 * place - 0.2, 0.01 * place, 0, 0, np.sin(angle / 2), 0, np.cos(angle / 2)])


def make_reconstruction(scale: float = 1.0) -> Reconstruction:
    v, u = np.mgrid[:HEIGHT, :WIDTH].reshape(2, -1)
    fx, fy, cx, cy = CAMERA
    rays = np.stack([(u - cx) / fx, (v - cy) / fy, np.ones(len(u))], 1)
    poses = np.array([camera_to_world(2 * place) for place in range(KEYFRAMES)])
    disps, images = [], []
    for pose, turn in zip(poses, rotation_matrices(poses[:, 3:]), strict=True):
        depth, what = cast(rays @ turn.T, pose[:3])
        disps.append((1 / depth).reshape(HEIGHT, WIDTH))
        images.append(COLORS[what, ::-1].T.reshape(3, HEIGHT, WIDTH))  # blue, green, red
    return Reconstruction(
        frames=2 * np.arange(KEYFRAMES),
        poses=invert_poses(poses).astype(np.float32),
        disps=np.array(disps, np.float32),
        images=np.array(images),
        intrinsics=np.tile(CAMERA / 8, (KEYFRAMES, 1)).astype(np.float32),
        scale=scale,
    )


def off_surface(points: np.ndarray, colors: np.ndarray) -> np.ndarray:
    """How far each point is from the surface that its colour belongs to."""
    distances = np.stack(
        [
            np.abs(points[:, 2] - 3),
            np.abs(points[:, 1] - 1),
            np.abs(np.linalg.norm(points - BALL, axis=1) - RADIUS),
        ]
    )
    return distances[colors.argmax(1), np.arange(len(points))]


def test_points_lie_on_the_surfaces_whose_colour_they_have() -> None:
    cloud = make_cloud(make_reconstruction(), threshold=0.05, count=2)
    assert off_surface(cloud.points, cloud.colors).max() < 1e-4
    assert len(cloud) > 0.6 * KEYFRAMES * HEIGHT * WIDTH / 4
    assert {tuple(color) for color in cloud.colors} == {tuple(color) for color in COLORS}


def test_wrong_depths_are_left_out() -> None:
    found = make_reconstruction()
    random = np.random.default_rng(1)
    wrong = random.random(found.disps.shape) < 0.05
    disps = np.where(wrong, found.disps * random.uniform(1.2, 1.9, found.disps.shape), found.disps)
    noisy = Reconstruction(**{**vars(found), "disps": disps.astype(np.float32)})
    every = make_cloud(noisy, threshold=0.05, count=0)
    assert (off_surface(every.points, every.colors) > 0.1).sum() > 500
    cloud = make_cloud(noisy, threshold=0.05, count=2)
    assert len(cloud) > 0.5 * len(every)
    # Two of six neighbours may be wrong in the same way by chance.
    assert (off_surface(cloud.points, cloud.colors) > 0.1).mean() < 2e-3


def test_far_points_are_left_out() -> None:
    found = make_reconstruction()
    disps = found.disps.copy()
    disps[:, :20] *= 0.1
    far = Reconstruction(**{**vars(found), "disps": disps})
    cloud = make_cloud(far, threshold=1e9, count=0)
    assert len(cloud) == KEYFRAMES * (HEIGHT - 20) * WIDTH / 4


def test_a_cloud_may_be_empty() -> None:
    assert len(make_cloud(make_reconstruction(), threshold=0.05, count=7)) == 0


def test_the_filter_is_that_of_the_kernel() -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed here; the CUDA image has it")
    from slam.engine.droid import kernels

    found = make_reconstruction()
    poses = torch.from_numpy(found.poses)
    disps = torch.from_numpy(found.disps[:, ::2, ::2].copy())
    intrinsics = torch.from_numpy(found.intrinsics[0] * 4)
    thresholds = torch.full((KEYFRAMES,), 0.004)
    counts = kernels.depth_filter(poses, disps, intrinsics, torch.arange(KEYFRAMES), thresholds).numpy()
    kept = (counts >= 3) & (disps > 0.25 * disps.mean()).numpy()
    points = kernels.iproj(
        torch.from_numpy(invert_poses(found.poses).astype(np.float32)), disps, intrinsics
    ).numpy()
    cloud = make_cloud(found, threshold=0.004, count=3)
    # Depths on the threshold itself may fall to either side.
    assert abs(kept.sum() - len(cloud)) <= 0.002 * kept.sum()
    assert 0.2 < kept.mean() < 0.98
    np.testing.assert_allclose(points[kept].mean(0), cloud.points.mean(0), atol=2e-3)


def test_trajectories_have_the_datasets_own_stamps_and_lead_from_camera_to_world() -> None:
    trajectory = keyframe_trajectory(make_reconstruction(scale=2.0), STAMPS)
    assert trajectory.stamps == STAMPS[: 2 * KEYFRAMES : 2]
    truth = np.array([camera_to_world(2 * place) for place in range(KEYFRAMES)])
    np.testing.assert_allclose(trajectory.positions, 2 * truth[:, :3], atol=1e-6)
    np.testing.assert_allclose(trajectory.quaternions, truth[:, 3:], atol=1e-6)


@pytest.fixture
def exported(tmp_path: Path):
    found = make_reconstruction(scale=1.5)
    poses = np.array([camera_to_world(place) for place in range(FRAMES)])
    stream = Sequence(
        name="made", frames=frames_at(*STAMPS), height=HEIGHT, width=WIDTH, mode="stereo", baseline_m=0.15
    )
    options = Options(filter_threshold=0.05)
    return export(stream, options, poses, found, tmp_path, facts={"keyframes": 12}, versions={"torch": "x"})


def test_all_frames_are_in_the_trajectory(exported) -> None:
    truth = np.array([camera_to_world(place) for place in range(FRAMES)])
    assert exported.trajectory.stamps == STAMPS
    np.testing.assert_allclose(exported.trajectory.positions, 1.5 * truth[:, :3], atol=1e-12)
    np.testing.assert_allclose(exported.trajectory.quaternions, truth[:, 3:], atol=1e-12)
    assert off_surface(exported.cloud.points / 1.5, exported.cloud.colors).max() < 1e-4
    camera = Camera(model="PINHOLE", parameters=(110, 112, 63.5, 47.5), width=WIDTH, height=HEIGHT)
    assert exported.camera == camera
    assert (exported.facts, exported.mean_reprojection_error_px) == ({"keyframes": 12}, None)


def test_files_for_the_results(exported) -> None:
    assert set(exported.files) == {results.KEYFRAMES, results.RECONSTRUCTION}
    assert read_posefile(exported.files[results.KEYFRAMES]).trajectory.stamps == STAMPS[: 2 * KEYFRAMES : 2]
    with np.load(exported.files[results.RECONSTRUCTION]) as archive:
        shapes = {name: (value.dtype.str, value.shape) for name, value in archive.items()}
        assert archive["stamps"].tolist() == list(STAMPS[: 2 * KEYFRAMES : 2])
        assert archive["tstamps"].tolist() == list(range(0, 24, 2))
        assert archive["scale"] == 1.5
    assert shapes == {
        "tstamps": ("<f4", (KEYFRAMES,)),
        "images": ("|u1", (KEYFRAMES, 3, HEIGHT, WIDTH)),
        "disps": ("<f4", (KEYFRAMES, HEIGHT, WIDTH)),
        "poses": ("<f4", (KEYFRAMES, 7)),
        "intrinsics": ("<f4", (KEYFRAMES, 4)),
        "stamps": ("<U17", (KEYFRAMES,)),
        "scale": ("<f8", ()),
    }


def test_the_view_shows_the_scene_the_right_way_up(exported, tmp_path: Path) -> None:
    up = find_by_cameras(exported.trajectory.quaternions)
    render(tmp_path / "cloud.png", exported.cloud, exported.trajectory, up.direction)
    picture = np.asarray(Image.open(tmp_path / "cloud.png").convert("RGB")).astype(int)
    rows = {}
    for name, channel in (("wall", 0), ("floor", 1), ("ball", 2)):
        shown = picture[..., channel] - np.delete(picture, channel, 2).max(2) > 100
        if name == "ball":
            shown &= np.abs(picture - COLORS[2]).max(2) < 5  # the path is blue, too
        assert shown.sum() > 1000, name
        rows[name] = np.nonzero(shown)[0].mean()
    assert rows["wall"] < rows["ball"] < rows["floor"]
    assert (np.abs(picture - (31, 111, 214)).max(2) < 5).sum() > 200


def test_an_upstream_file_on_demand(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed here; the CUDA image has it")
    from slam.engine.droid.engine import write_pth

    found = make_reconstruction()
    write_pth(tmp_path / "r.pth", found)
    values = torch.load(tmp_path / "r.pth", weights_only=True)
    assert set(values) == {"tstamps", "images", "disps", "poses", "intrinsics"}
    assert values["images"].dtype == torch.uint8
    assert values["images"].shape == (KEYFRAMES, 3, HEIGHT, WIDTH)
    assert all(values[name].dtype == torch.float32 for name in set(values) - {"images"})
    assert json.dumps(values["tstamps"].tolist()) == json.dumps([2.0 * place for place in range(KEYFRAMES)])
