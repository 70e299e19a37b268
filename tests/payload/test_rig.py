"""Pairs of one's own cameras in EuRoC's layout, rectified by what their files say."""

from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from slam.dataset.layout import open_sequence
from slam.dataset.rig import find_turns
from slam.dataset.sequence import Choice, Sequence
from slam.errors import InputError
from slam.evaluate.absolute import Comparison
from slam.task.truth import find_truth
from tests.payload.datasets import middle, save, spot

SIZE = (640, 480)
PINHOLES = ((410.0, 405.0, 322.0, 236.0), (400.0, 402.0, 310.0, 247.0))
BENT = {"radial-tangential": (-0.2, 0.05, 0.0005, -0.0003), "equidistant": (-0.01, 0.004, -0.002, 0.0005)}
# Cameras in the body, which looks along its x: the right one is 14 cm to the right, and squints a little.
TURNS = (
    Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]),
    Rotation.from_matrix([[0, 0, 1], [-1, 0, 0], [0, -1, 0]]) * Rotation.from_rotvec([0.02, -0.03, 0.015]),
)
PLACES = np.array([[0.1, 0.07, 0.02], [0.11, -0.07, 0.025]])
POINT = np.array([3.1, 0.4, -0.5])


def pose(side: int) -> np.ndarray:
    return np.vstack([np.c_[TURNS[side].as_matrix(), PLACES[side]], [0, 0, 0, 1]])


def see(side: int, model: str) -> np.ndarray:
    """Where a camera sees the point, by OpenCV."""
    seen = TURNS[side].inv().apply(POINT - PLACES[side])
    fx, fy, cx, cy = PINHOLES[side]
    matrix = np.array([[fx, 0, cx], [0, fy, cy], [0, 0, 1]])
    project = cv2.fisheye.projectPoints if model == "equidistant" else cv2.projectPoints
    found, _ = project(seen.reshape(1, 1, 3), np.zeros(3), np.zeros(3), matrix, np.array(BENT[model]))
    return np.asarray(found).reshape(2)


def make_rig(folder: Path, model: str = "radial-tangential") -> Path:
    for side in (0, 1):
        camera = folder / "mav0" / f"cam{side}"
        for place in range(3):
            save(camera / "data" / f"{10**18 + place * 10**9}.png", spot(SIZE, see(side, model)))
        sensor = {
            "camera_model": "pinhole",
            "intrinsics": list(PINHOLES[side]),
            "resolution": list(SIZE),
            "distortion_model": model,
            "distortion_coefficients": list(BENT[model]),
            "T_BS": {"rows": 4, "cols": 4, "data": pose(side).ravel().tolist()},
        }
        (camera / "sensor.yaml").write_text(yaml.safe_dump(sensor))
    return folder


def opened(folder: Path) -> Sequence:
    return open_sequence(folder, Choice(mode="stereo"))


@pytest.mark.parametrize("model", list(BENT))
def test_a_point_is_in_one_row_of_both_images_and_as_far_as_it_is(tmp_path: Path, model: str) -> None:
    sequence = opened(make_rig(tmp_path / "rig", model))
    assert sequence.turn is not None
    ahead = np.reshape(sequence.turn, (3, 3)) @ TURNS[0].inv().apply(POINT - PLACES[0])
    assert sequence.baseline_m == pytest.approx(np.linalg.norm(PLACES[1] - PLACES[0]))
    frame = next(iter(sequence.pictures))
    assert frame.right is not None
    first, second = middle(frame.image[0]), middle(frame.right[0])
    assert abs(first[1] - second[1]) < 0.3
    fx, fy, cx, cy = frame.intrinsics
    assert first[0] - second[0] == pytest.approx(fx * sequence.baseline_m / ahead[2], abs=0.4)
    seen = [fx * ahead[0] / ahead[2] + cx, fy * ahead[1] / ahead[2] + cy]
    np.testing.assert_allclose(first + 0.5, seen, atol=0.6)


def test_the_turns_are_opencvs() -> None:
    left, right = (pose(side)[:3] for side in (0, 1))
    between = right[:, :3].T @ left[:, :3]
    shift = (right[:, :3].T @ (left[:, 3] - right[:, 3])).reshape(3, 1)
    straight = np.array([[400.0, 0, 320], [0, 400, 240], [0, 0, 1]])
    expected = cv2.stereoRectify(straight, np.zeros(4), straight, np.zeros(4), SIZE, between.copy(), shift)[
        :2
    ]
    np.testing.assert_allclose(find_turns(left, right), expected, atol=1e-9)


def test_the_truth_of_the_body_is_turned_to_the_rectified_camera(tmp_path: Path) -> None:
    folder = make_rig(tmp_path / "rig")
    path = folder / "mav0" / "state_groundtruth_estimate0" / "data.csv"
    path.parent.mkdir()
    path.write_text("".join(f"{10**18 + place * 10**9},1,2,3,1,0,0,0\n" for place in range(3)))
    sequence = opened(folder)
    truth = find_truth(sequence, Comparison())
    assert truth.trajectory is not None
    assert (sequence.frame, truth.trajectory.frame) == ("camera", "camera")
    np.testing.assert_allclose(truth.trajectory.positions[0], [1, 2, 3] + PLACES[0])
    expected = TURNS[0].as_matrix() @ np.reshape(sequence.turn, (3, 3)).T
    turns = Rotation.from_quat(truth.trajectory.quaternions).as_matrix()
    np.testing.assert_allclose(turns[0], expected, atol=1e-9)


def test_pairs_that_cannot_be_rectified_are_told(tmp_path: Path) -> None:
    folder = make_rig(tmp_path / "rig")
    left, right = (folder / "mav0" / f"cam{side}" / "sensor.yaml" for side in (0, 1))
    one, other = left.read_text(), right.read_text()
    left.write_text(other)
    right.write_text(one)
    with pytest.raises(InputError, match=r"cam1 is -0.1.* m to the right of cam0.*call the left camera cam0"):
        opened(folder)
    left.write_text(one)
    right.unlink()
    with pytest.raises(InputError, match="how its two cameras stand to each other is not known"):
        opened(folder)
