"""The engine `open3d`, where Open3D is installed."""

import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slam.dataset.sequence import Picture
from slam.demo.scene import camera_path, make_scene
from slam.engine.open3d.odometry import View, share_in_sight

ASKED = ("--task", "infer", "--engine", "open3d", "--depth", "--dataset", "room")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Seven images of the demo's room, 7 cm apart; the fourth has no depth."""
    root = tmp_path_factory.mktemp("data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("slam.demo.scene.camera_path", lambda frames: camera_path(48)[20 : 20 + frames])
        make_scene(root / "room", frames=7, width=320, depth=True)
    depth = sorted((root / "room" / "depth").iterdir())[3]
    Image.fromarray(np.zeros((240, 320), np.uint16)).save(depth)
    return root


def require_open3d() -> None:
    pytest.importorskip(
        "open3d",
        reason="Open3D does not load here: pip install open3d-cpu, and docs/engines.md has its libraries",
        exc_type=ImportError,
    )


def test_the_camera_of_the_demo_s_room_is_found_in_metres(slam, root: Path, tmp_path: Path) -> None:
    require_open3d()
    # Its packages warn of their own.
    # The path is nearly straight, so that positions alone do not say how it lies about itself.
    done = slam(*ASKED, "--align", "origin", "--data-root", root, "--out", tmp_path, PYTHONWARNINGS="default")
    assert (done.returncode, done.stderr) == (0, "")
    summary, ate = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("summary", "ate"))
    assert (summary["frames"], summary["frames_registered"], summary["engine"]) == (7, 6, "open3d")
    assert "open3d" in summary["versions"]
    assert (ate["alignment"], ate["pairs"]) == ("origin", 6)
    assert ate["rmse"] < 0.01
    assert ate["rotation_deg"]["rmse"] < 0.5
    # The cloud is in the world of the trajectory, whose first camera looks along its z axis: what this camera
    # sees is a wall and things before it, in the colours of the image.
    header, data = (tmp_path / "cloud.ply").read_bytes().split(b"end_header\n", 1)
    assert b"property uchar red" in header
    points = np.frombuffer(data, dtype=[("xyz", "<f4", 3), ("rgb", "u1", 3)])
    assert 1 < np.median(points["xyz"][:, 2]) < 5
    first = np.asarray(Image.open(sorted((root / "room" / "rgb").iterdir())[0])).reshape(-1, 3)
    np.testing.assert_allclose(points["rgb"].mean(0), first.mean(0), atol=25)


def test_images_too_far_apart_are_told(slam, root: Path, tmp_path: Path) -> None:
    require_open3d()
    still = sorted((root / "room" / "depth").iterdir())
    (tmp_path / "data").mkdir()
    broken = tmp_path / "data" / "room"
    broken.mkdir()
    for path in (root / "room").iterdir():
        if path.name != "depth":
            (broken / path.name).symlink_to(path)
    (broken / "depth").mkdir()
    for path in still:
        Image.fromarray(np.zeros((240, 320), np.uint16)).save(broken / "depth" / path.name)
    done = slam(*ASKED, "--data-root", broken.parent, "--out", tmp_path / "out", PYTHONWARNINGS="default")
    assert done.returncode == 3
    assert "1 of 7 images could be aligned, at least 3 have to be; depth images" in done.stderr


def test_without_the_package(slam, root: Path, tmp_path: Path) -> None:
    if find_spec("open3d"):
        pytest.skip("Open3D is installed")
    done = slam(*ASKED, "--data-root", root, "--out", tmp_path)
    assert done.returncode == 1
    assert "the engine open3d needs the package open3d-cpu and" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_it_needs_depth(slam, root: Path, tmp_path: Path) -> None:
    arguments = [one for one in ASKED if one != "--depth"]
    done = slam(*arguments, "--data-root", root, "--out", tmp_path)
    assert (
        done.returncode,
        "open3d needs more than the images of one camera; add --depth" in done.stderr,
    ) == (
        2,
        True,
    )


def wall(depth: np.ndarray) -> View:
    picture = Picture(
        index=0,
        image=np.zeros((3, 64, 64), np.uint8),
        intrinsics=np.array([64.0, 64, 32, 32]),
        depth=depth.astype(np.float32),
    )
    return View(image=None, matrix=None, picture=picture)  # type: ignore[arg-type]


def test_what_two_cameras_share_of_a_wall() -> None:
    """A wall 2 m away fills an image of 64 pixels at a focal length of 64: it is 2 m wide."""
    whole, aside = np.full((64, 64), 2.0), np.eye(4)
    aside[0, 3] = 1.0
    assert share_in_sight(wall(whole), wall(whole), np.eye(4)) == 1
    assert share_in_sight(wall(whole), wall(whole), aside) == 0.5
    half = whole.copy()
    half[:, 32:] = 0
    # The left half alone has depth, and moves to where the other image has none, or 10 m is too far.
    assert share_in_sight(wall(half), wall(half), aside) == 0
    half[:, 32:] = 11
    assert share_in_sight(wall(half), wall(half), aside) == 0
