"""Calibrations of other programs: a point is seen where OpenCV and COLMAP see it by the file's numbers."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from slam.dataset.calibration.catalog import FORMS, read_file
from slam.dataset.calibration.colmap import MODELS
from slam.dataset.calibration.document import parse_yaml
from slam.dataset.calibration.fit import is_same
from slam.dataset.calibration.search import find_camera
from slam.dataset.camera import Intrinsics, camera_model
from slam.errors import InputError
from tests.payload import calibrations
from tests.payload.calibrations import BENT, CX, CY, FISHEYE, FX, FY, SIZE, write_opencv

POINTS = np.array([(0.1, -0.2, 1.0), (-0.5, 0.3, 1.0), (0.4, 0.4, 1.0), (0.0, 0.0, 1.0)])
MATRIX = np.array([[FX, 0, CX], [0, FY, CY], [0, 0, 1]])

Maker = Callable[[Path], object]


def text(name: str, content: str) -> Maker:
    return lambda folder: (folder / name).write_text(content)


FILES: dict[str, tuple[str, Maker]] = {
    "OpenCV YAML": ("OpenCV", lambda folder: write_opencv(folder / "out_camera_data.yml")),
    "OpenCV XML": ("OpenCV", lambda folder: write_opencv(folder / "out_camera_data.xml")),
    "OpenCV JSON": ("OpenCV", lambda folder: write_opencv(folder / "out_camera_data.json")),
    "ROS": ("OpenCV", text("ost.yaml", calibrations.ROS)),
    "Kalibr": ("Kalibr", text("camchain-desk.yaml", calibrations.KALIBR)),
    "EuRoC": ("EuRoC sensor", text("sensor.yaml", calibrations.SENSOR)),
    "ORB-SLAM2": ("ORB-SLAM", text("TUM1.yaml", calibrations.ORBSLAM2)),
    "ORB-SLAM2 stereo": ("ORB-SLAM", text("EuRoC.yaml", calibrations.ORBSLAM2_STEREO)),
    "ORB-SLAM3": ("ORB-SLAM", text("phone.yaml", calibrations.ORBSLAM3)),
    "COLMAP": ("COLMAP", text("cameras.txt", calibrations.COLMAP)),
}
FISHEYES: dict[str, Maker] = {
    "OpenCV": lambda folder: write_opencv(folder / "gopro.yml", fisheye=True),
    "ORB-SLAM3": text("gopro.yaml", calibrations.ORBSLAM3_FISHEYE),
    "Kalibr": text(
        "camchain.yaml",
        calibrations.KALIBR.partition("cam1:")[0]
        .replace("radtan", "equidistant")
        .replace(str(list(BENT[:3]))[1:-1] + ", 1.76187114e-05", str(list(FISHEYE))[1:-1]),
    ),
    "COLMAP": text(
        "cameras.txt",
        f"1 OPENCV_FISHEYE 640 480 {FX} {FY} {CX + 0.5} {CY + 0.5} {' '.join(map(str, FISHEYE))}\n",
    ),
}


def found(folder: Path, size: tuple[int, int] = SIZE) -> Intrinsics:
    known = find_camera(folder, size, None)
    assert known.intrinsics is not None
    return known.intrinsics


def by_colmap(camera: Intrinsics, size: tuple[int, int] = SIZE) -> np.ndarray:
    """Where COLMAP sees the points, in its pixels."""
    import pycolmap

    model, parameters = camera_model(camera)
    made = pycolmap.Camera(model=model, params=parameters, width=size[0], height=size[1])
    return np.array([made.img_from_cam(point) for point in POINTS])


def by_opencv(*, fisheye: bool = False) -> np.ndarray:
    cv2 = pytest.importorskip("cv2")
    bent = np.array(FISHEYE if fisheye else BENT)
    project = cv2.fisheye.projectPoints if fisheye else cv2.projectPoints
    return np.asarray(project(POINTS[:, None], np.zeros(3), np.zeros(3), MATRIX, bent)[0]).reshape(-1, 2)


@pytest.mark.parametrize("kind", FILES)
def test_a_point_is_where_opencv_and_colmap_see_it(tmp_path: Path, kind: str) -> None:
    name, make = FILES[kind]
    make(tmp_path)
    known = find_camera(tmp_path, SIZE, None)
    assert known.intrinsics is not None
    assert f"({name}" in str(known)
    np.testing.assert_allclose(by_colmap(known.intrinsics), by_opencv() + 0.5, atol=1e-6)
    # What OpenCV is given to undistort is the file's own matrix.
    assert known.intrinsics.cx - known.intrinsics.middle_px == pytest.approx(CX)


@pytest.mark.parametrize("kind", FISHEYES)
def test_a_fisheye_is_one(tmp_path: Path, kind: str) -> None:
    FISHEYES[kind](tmp_path)
    camera = found(tmp_path)
    assert camera.is_fisheye
    np.testing.assert_allclose(by_colmap(camera), by_opencv(fisheye=True) + 0.5, atol=1e-6)


@pytest.mark.parametrize("model", MODELS)
def test_each_model_of_colmap_is_what_colmap_takes_it_for(tmp_path: Path, model: str) -> None:
    import pycolmap

    names = MODELS[model][0].split()
    values = {"f": 400, "fx": 400, "fy": 410, "cx": 321, "cy": 239, "k1": 0.1, "k2": -0.05, "p1": 0.003}
    values |= {"p2": -0.002, "k3": 0.01, "k4": 0.02, "k5": -0.01, "k6": 0.004}
    parameters = [values[name] for name in names]
    (tmp_path / "cameras.txt").write_text(f"1 {model} 640 480 {' '.join(map(str, parameters))}\n")
    theirs = pycolmap.Camera(model=model, params=parameters, width=640, height=480)
    expected = [theirs.img_from_cam(point) for point in POINTS]
    np.testing.assert_allclose(by_colmap(found(tmp_path)), expected, atol=1e-9)


def test_the_models_of_colmap_that_are_not_read_are_refused(tmp_path: Path) -> None:
    import pycolmap

    others = set(pycolmap.CameraModelId.__members__) - set(MODELS) - {"INVALID"}
    assert "FOV" in others
    for model in others:
        (tmp_path / "cameras.txt").write_text(f"3 {model} 640 480 500 500 320 240 0.9\n")
        with pytest.raises(InputError, match=rf"cameras.txt:1: the model {model} has another formula"):
            found(tmp_path)


@pytest.mark.parametrize(
    "written",
    [
        "500, 501, 320, 240\n",
        "500,501,320,240",
        "[500; 501; 320; 240]",
        "500 0 320\n0 501 240\n0 0 1\n",
        "[[500, 0, 320],\n [0, 501, 240],\n [0, 0, 1]]\n",
        "5.0e+02 0 3.2e+02 0 501 240 0 0 1\n",
        "# K\n500\t0\t320\n0\t501\t240\n0\t0\t1\n0 0 0 0 0\n",
    ],
)
@pytest.mark.parametrize("name", ["calib.txt", "K.txt", "intrinsics.txt"])
def test_numbers_are_read_with_commas_and_as_a_matrix(tmp_path: Path, written: str, name: str) -> None:
    (tmp_path / name).write_text(written)
    assert found(tmp_path) == Intrinsics(fx=500, fy=501, cx=320, cy=240)


def test_a_matrix_may_have_its_distortion_below(tmp_path: Path) -> None:
    (tmp_path / "calib.txt").write_text("500 0 320\n0 501 240\n0 0 1\n0.1 -0.2 0.003 -0.004 1.5\n")
    assert found(tmp_path).distortion == (0.1, -0.2, 0.003, -0.004, 1.5)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("calib.txt", "500 2 320\n0 500 240\n0 0 1\n", "calib.txt:1: the skew 2 is not read"),
        ("calib.txt", "500 0 320\n0 500 240\n0 1 0\n", "calib.txt:1: expected rows `fx 0 cx`"),
        ("calib.txt", "1 2 3\n4 5 6\n", "calib.txt: 2 lines of numbers"),
        (
            "camchain.yaml",
            calibrations.KALIBR.replace("pinhole", "omni"),
            "cam0: the model omni with",
        ),
        ("camchain.yaml", calibrations.KALIBR.replace("radtan", "fov"), "pinhole with the distortion fov"),
        ("sensor.yaml", calibrations.SENSOR.replace(f"{FX}, ", ""), "expected four numbers fx fy cx cy"),
        ("orb.yaml", calibrations.ORBSLAM3.replace("PinHole", "Mei"), "Camera.type 'Mei' is not known"),
        ("orb.yaml", calibrations.ORBSLAM3.replace("Camera1.cy", "cy"), "Camera1.cy is missing"),
        ("ost.yaml", calibrations.ROS.replace("plumb_bob", "mei"), "distortion model 'mei' is not known"),
        ("ost.yaml", calibrations.ROS.replace("-0.28", "x"), "distortion_coefficients holds no numbers"),
        ("camera.yaml", "cam0: [1, 2\ncam1: 3", "not readable as YAML .line 2"),
        ("camera.xml", "<opencv_storage><camera", "not readable as XML"),
        ("cameras.txt", "1 PINHOLE 640 480 500 500 320\n", "3 parameters; PINHOLE has fx fy cx cy"),
        (
            "cameras.txt",
            calibrations.COLMAP + "2 PINHOLE 640 480 9 9 320 240\n",
            "2 different cameras .1, 2.",
        ),
        ("cameras.txt", "1 PINHOLE 640 480 -5 5 320 240\n", "focal lengths -5 and 5 must be positive"),
        (
            "cameras.txt",
            "1 PINHOLE 640 480 5 5 320 240\n",
            "a focal length of 5 pixels is too short for 640x480",
        ),
        ("calib.txt", "0.8 0.8 0.5 0.5\n", "in pixels, not in millimetres or in parts of the width"),
        (
            "camera.yaml",
            calibrations.ROS.replace("0.000000]", "0, 0, 0, 0, 0.3]"),
            "after the 8th are of a model",
        ),
    ],
)
def test_what_cannot_be_read_is_said(tmp_path: Path, name: str, content: str, message: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=message):
        find_camera(tmp_path, SIZE, None)


@pytest.mark.parametrize("name", ["camera.json", "intrinsics.yaml", "cameras.txt", "transforms.json"])
def test_what_is_of_no_format_is_noted(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("{}" if name.endswith("json") else "fl_x: 500\n")
    known = find_camera(tmp_path, SIZE, None)
    assert (known.intrinsics, known.notes) == (None, (f"seen and not read: {tmp_path / name}",))


def test_other_files_are_no_matter(tmp_path: Path) -> None:
    (tmp_path / "labels.yaml").write_text("a: [1\n")
    (tmp_path / "imu.yaml").write_text("rate_hz: 200\n")
    (tmp_path / ".camera.yaml").write_text(calibrations.ROS)
    assert find_camera(tmp_path, SIZE, None).intrinsics is None


def test_a_calibration_of_larger_images_is_scaled(tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_text(calibrations.COLMAP)
    known = find_camera(tmp_path, (320, 240), None)
    assert known.intrinsics is not None
    # COLMAP's own camera, rescaled by itself.
    import pycolmap

    theirs = pycolmap.Camera(
        model="OPENCV", params=[FX, FY, CX + 0.5, CY + 0.5, *BENT], width=640, height=480
    )
    theirs.rescale(320, 240)
    np.testing.assert_allclose(camera_model(known.intrinsics)[1], theirs.params)
    assert "is for images of 640x480, and is scaled to the 320x240 of these" in known.notes[0]


@pytest.mark.parametrize("size", [(480, 640), (640, 360)])
def test_one_of_another_shape_is_refused(tmp_path: Path, size: tuple[int, int]) -> None:
    (tmp_path / "cameras.txt").write_text(calibrations.COLMAP)
    with pytest.raises(InputError, match=r"for images of 640x480, and these are .*, of another shape"):
        find_camera(tmp_path, size, None)


@pytest.mark.parametrize(
    ("folder", "fx", "note"),
    [
        ("cam0", FX, None),
        ("cam1", 190.9, None),
        ("right", 190.9, None),
        ("images", FX, "has 2 cameras (cam0, cam1), and cam0 is taken; images of another one belong"),
    ],
)
def test_the_folders_name_says_which_camera_of_a_rig(
    tmp_path: Path, folder: str, fx: float, note: str | None
) -> None:
    (tmp_path / folder).mkdir()
    (tmp_path / "camchain.yaml").write_text(calibrations.KALIBR)
    known = find_camera(tmp_path / folder, SIZE, tmp_path)
    assert known.intrinsics is not None
    assert known.intrinsics.fx == fx
    assert [note in one for one in known.notes] == [True] if note else known.notes == ()


def test_the_size_says_which_of_several_cameras(tmp_path: Path) -> None:
    lines = "1 PINHOLE 640 480 500 500 320 240\n2 PINHOLE 1280 720 900 900 640 360\n"
    (tmp_path / "cameras.txt").write_text(lines)
    assert found(tmp_path, (1280, 720)).fx == 900


def test_two_files_may_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "cameras.txt").write_text(calibrations.COLMAP)
    (tmp_path / "ost.yaml").write_text(calibrations.ROS)
    assert found(tmp_path).fx == FX
    (tmp_path / "ost.yaml").write_text(calibrations.ROS.replace(str(FX), "470"))
    with pytest.raises(InputError, match=r"two calibrations of different cameras: .*cameras.txt \(COLMAP"):
        found(tmp_path)
    (tmp_path / "calib.txt").write_text("480 480 320 240\n")
    known = find_camera(tmp_path, SIZE, None)
    assert known.intrinsics == Intrinsics(fx=480, fy=480, cx=320, cy=240)
    assert known.notes == (f"seen and not read: {tmp_path / 'cameras.txt'}, {tmp_path / 'ost.yaml'}",)


def test_kittis_projections_are_four_cameras(tmp_path: Path) -> None:
    (tmp_path / "calib.txt").write_text(calibrations.KITTI)
    file = read_file(tmp_path / "calib.txt")
    assert file is not None
    assert [one.label for one in file.cameras] == ["P0", "P1", "P2", "P3"]
    assert file.cameras[0].camera == Intrinsics(fx=718.856, fy=718.856, cx=607.1928, cy=185.2157)


KEYS = [
    *(
        "camera_matrix",
        "distortion_coefficients",
        "distortion_model",
        "image_width",
        "image_height",
        "K",
        "D",
    ),
    *("M1", "D1", "cam0", "cam1", "camera_model", "intrinsics", "distortion_coeffs", "resolution", "data"),
    *("Camera.fx", "Camera.type", "Camera1.fx", "Camera1.cx", "Camera.width", "LEFT.K", "LEFT.D"),
]
SOMETHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["", "pinhole", "radtan", "1e-5", "PinHole", "x", "500 0 320 0 500 240 0 0 1"])
    | st.just([500.0, 0, 320, 0, 500, 240, 0, 0, 1]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(table=st.dictionaries(st.sampled_from(KEYS), SOMETHING, max_size=6))
def test_whatever_is_in_a_file_there_is_a_camera_or_a_message(
    tmp_path: Path, table: dict[str, object]
) -> None:
    (tmp_path / "camera.json").write_text(json.dumps(table))
    try:
        camera = find_camera(tmp_path, SIZE, None).intrinsics
    except InputError:
        return
    assert camera is None or camera.fx > 0


def test_a_file_that_holds_itself_is_no_matter(tmp_path: Path) -> None:
    (tmp_path / "camera.yaml").write_text("K: &a {data: *a}\nM1: &b [*b]\n")
    assert find_camera(tmp_path, SIZE, None).intrinsics is None
    (tmp_path / "camera.yaml").unlink()
    (tmp_path / "camera.json").write_text("[" * 100_000)
    with pytest.raises(InputError, match="not readable as JSON"):
        find_camera(tmp_path, SIZE, None)


def test_tags_make_nothing_but_tables(tmp_path: Path) -> None:
    assert parse_yaml("a: !!python/object/apply:os.system [exit]\nb: !own {c: 1e-5}\n") == {
        "a": ["exit"],
        "b": {"c": "1e-5"},
    }


def test_formats_have_names_of_their_own() -> None:
    assert len({form.name for form in FORMS}) == len(FORMS)


def test_rounding_makes_no_other_camera() -> None:
    one = Intrinsics(fx=500, fy=501, cx=320, cy=240)
    assert is_same(one, Intrinsics(fx=500.0000001, fy=501, cx=320, cy=240))
    assert not is_same(one, Intrinsics(fx=500, fy=501, cx=320.5, cy=240))
    assert not is_same(one, None)
