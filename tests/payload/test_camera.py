from pathlib import Path

import pytest

from slam.dataset.calibration.line import read_calibration
from slam.dataset.camera import Intrinsics, camera_model, tum_intrinsics
from slam.errors import InputError


@pytest.mark.parametrize(
    ("text", "distortion"),
    [
        ("500 501 320 240\n", ()),
        ("# from the ROS calibrator\n\n 500 501 320 240 \n", ()),
        ("500 501 320 240 0 0 0 0", ()),
        ("500 501 320 240 .1 -.2 .003 -.004", (0.1, -0.2, 0.003, -0.004)),
        ("500 501 320 240 .1 -.2 .003 -.004 1.5", (0.1, -0.2, 0.003, -0.004, 1.5)),
        ("500 501 320 240 1 2 3 4 5 6 7 8", (1, 2, 3, 4, 5, 6, 7, 8)),
    ],
)
def test_reads_cameras_with_and_without_distortion(
    tmp_path: Path, text: str, distortion: tuple[float, ...]
) -> None:
    (tmp_path / "calib.txt").write_text(text)
    expected = Intrinsics(fx=500, fy=501, cx=320, cy=240, distortion=distortion)
    assert read_calibration(tmp_path / "calib.txt") == expected


@pytest.mark.parametrize(
    ("text", "where", "what"),
    [
        ("# nothing\n", "calib.txt: ", "0 lines"),
        ("500 500 320 240\n500 500 320 240\n", "calib.txt: ", "2 lines"),
        ("# camera\n500 500 320\n", "calib.txt:2: ", "3 numbers"),
        ("500 500 320 240 .1 .2\n", "calib.txt:1: ", "6 numbers"),
        ("500 x 320 240\n", "calib.txt:1: ", "'x'"),
        ("500 nan 320 240\n", "calib.txt:1: ", "expected `fx fy cx cy`"),
        ("500 -500 320 240\n", "calib.txt:1: ", "-500 must be positive"),
    ],
)
def test_says_where_a_calibration_is_wrong(tmp_path: Path, text: str, where: str, what: str) -> None:
    (tmp_path / "calib.txt").write_text(text)
    with pytest.raises(InputError) as caught:
        read_calibration(tmp_path / "calib.txt")
    assert str(caught.value).startswith(f"{tmp_path}/{where}")
    assert what in str(caught.value)


@pytest.mark.parametrize(
    ("name", "fx"),
    [
        ("rgbd_dataset_freiburg1_xyz", 517.3),
        ("rgbd_dataset_freiburg2_desk", 520.9),
        ("fr3_long_office", 535.4),
        ("FR1-desk", 517.3),
        ("my_freiburg10", None),
        ("fr10", None),
        ("room", None),
    ],
)
def test_knows_the_cameras_of_tum_by_name(name: str, fx: float | None) -> None:
    camera = tum_intrinsics(name)
    assert (camera and camera.fx) == fx


def test_picks_the_smallest_colmap_model() -> None:
    plain = {"fx": 1.0, "fy": 2.0, "cx": 3.0, "cy": 4.0}
    assert camera_model(Intrinsics(**plain)) == ("PINHOLE", [1, 2, 3, 4])
    assert camera_model(Intrinsics(**plain, distortion=(5, 6, 7, 8))) == ("OPENCV", [1, 2, 3, 4, 5, 6, 7, 8])
    assert camera_model(Intrinsics(**plain, distortion=(5, 6, 7, 8, 9))) == (
        "FULL_OPENCV",
        [1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 0, 0],
    )
