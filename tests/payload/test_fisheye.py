"""Fisheye lenses: COLMAP and OpenCV see a point at the same place, and DROID-SLAM gets a pinhole's image."""

from pathlib import Path

import numpy as np
import pytest

from slam.dataset.camera import camera_model, opencv_camera
from slam.dataset.geometry import fit_usual_area
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
