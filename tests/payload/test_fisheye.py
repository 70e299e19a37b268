"""Fisheye lenses: COLMAP and OpenCV see a point at the same place, and DROID-SLAM gets a pinhole's image."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from slam.dataset.camera import camera_model, opencv_camera
from slam.dataset.geometry import fit_usual_area
from tests.payload.conftest import Slam
from tests.payload.datasets import middle, spot

cv2 = pytest.importorskip("cv2", reason="OpenCV undistorts; install the extra `slam`")

# A camera of TUM VI's kind, https://cvg.cit.tum.de/data/datasets/visual-inertial-dataset, for 512x384 images.
NUMBERS = {"fx": 190.98, "fy": 190.97, "cx": 254.93, "cy": 190.9}
BENT = (0.0034823894022493434, 0.0007150348452162257, -0.0020532361418706202, 0.00020293673591811182)
CAMERA = opencv_camera(**NUMBERS, distortion=BENT, is_fisheye=True)
MATRIX = np.array([[NUMBERS["fx"], 0, NUMBERS["cx"]], [0, NUMBERS["fy"], NUMBERS["cy"]], [0, 0, 1]])
POINTS = [(0.1, -0.2, 1.0), (0.9, 0.5, 1.0), (-1.1, 0.1, 1.0), (0.3, -0.7, 1.0)]


def seen(point: tuple[float, float, float]) -> np.ndarray:
    """In OpenCV's pixels."""
    pixels, _ = cv2.fisheye.projectPoints(
        np.array([[point]]), np.zeros(3), np.zeros(3), MATRIX, np.array(BENT)
    )
    return np.asarray(pixels).reshape(2)


@pytest.mark.parametrize("point", [*POINTS, (3.0, -1.0, 0.5)])
def test_colmap_sees_a_point_where_opencv_does(point: tuple[float, float, float]) -> None:
    import pycolmap

    model, parameters = camera_model(CAMERA)
    camera = pycolmap.Camera(model=model, params=parameters, width=512, height=384)
    np.testing.assert_allclose(camera.img_from_cam(np.array(point)), seen(point) + 0.5, atol=1e-9)


@pytest.mark.parametrize("point", POINTS)
def test_droid_gets_it_undistorted(tmp_path: Path, point: tuple[float, float, float]) -> None:
    prepared = fit_usual_area(CAMERA, (512, 384))
    image = prepared.image(np.repeat(spot((512, 384), seen(point), width=2)[:, :, None], 3, 2))
    fx, fy, cx, cy = prepared.intrinsics
    expected = [fx * point[0] / point[2] + cx - 0.5, fy * point[1] / point[2] + cy - 0.5]
    # Straightening makes a spot larger towards the image's edge, and so moves its middle outwards.
    np.testing.assert_allclose(middle(image[0]), expected, atol=0.35)


def test_depth_is_straightened_with_it() -> None:
    prepared = fit_usual_area(CAMERA, (512, 384))
    step = seen((0.9, 0.0, 1.0))[0]
    metres = np.where(np.arange(512) < step, 1, 2).astype(np.float32)[None].repeat(384, 0)
    straight = prepared.depth(metres)
    edge = np.flatnonzero(straight[191] > 1.5)[0]
    assert edge == pytest.approx(0.9 * NUMBERS["fx"] + NUMBERS["cx"], abs=1.5)
    assert set(np.unique(straight)) <= {0, 1, 2}


@pytest.mark.long
def test_colmap_reconstructs_what_a_fisheye_saw(scene: Path, tmp_path: Path, slam: Slam) -> None:
    """The demo's room, bent by OpenCV; ORB-SLAM's settings say how, and a pinhole does not fit."""
    folder = tmp_path / "set"
    shutil.copytree(scene, folder)
    pinhole = np.array([[262.5, 0, 159.5], [0, 262.5, 119.5], [0, 0, 1]])
    lens, bent = np.array([[330.0, 0, 159.5], [0, 330, 119.5], [0, 0, 1]]), np.array([-0.3, 0.2, 0, 0])
    pixels = np.stack(np.meshgrid(np.arange(320.0), np.arange(240.0)), -1).reshape(-1, 1, 2)
    straight = cv2.fisheye.undistortPoints(pixels, lens, bent, P=pinhole).reshape(240, 320, 2)
    for path in folder.glob("rgb/*.png"):
        bent_image = cv2.remap(cv2.imread(str(path)), *straight.astype(np.float32).transpose(2, 0, 1), 2)
        cv2.imwrite(str(path), bent_image)
    words = ("--task", "infer", "--data-root", tmp_path, "--dataset", "set", "--max-frames", "5")

    def error(name: str) -> float:
        done = slam(*words, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        return float(json.loads((tmp_path / name / "summary.json").read_text())["mean_reprojection_error_px"])

    (folder / "calib.txt").write_text("330 330 160 120\n")
    wrong = error("wrong")
    (folder / "calib.txt").unlink()
    (folder / "gopro.yaml").write_text(
        '%YAML:1.0\nCamera.type: "KannalaBrandt8"\nCamera1.fx: 330\nCamera1.fy: 330\nCamera1.cx: 159.5\n'
        "Camera1.cy: 119.5\nCamera1.k1: -0.3\nCamera1.k2: 0.2\nCamera1.k3: 0\nCamera1.k4: 0\n"
    )
    assert error("right") < min(0.3, wrong / 2)
    camera = json.loads((tmp_path / "right" / "summary.json").read_text())["camera"]
    assert (camera["model"], camera["parameters"]) == (
        "OPENCV_FISHEYE",
        [330, 330, 160, 120, -0.3, 0.2, 0, 0],
    )
