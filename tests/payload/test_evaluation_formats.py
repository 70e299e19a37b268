"""Whole evaluations of files in each format, beside evo's own programs on the same files."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.spatial.transform import Rotation

from slam.dataset.groundtruth import find_mount, turn_to
from slam.errors import InputError
from slam.evaluate.absolute import Comparison
from slam.evaluate.relative import Step
from slam.output.figure.style import Drawing
from slam.task.evaluate import evaluate
from slam.trajectory import Trajectory, write_trajectory
from tests.campaign import others_long
from tests.payload.evo_app import Figures, evo_figures

COUNT = 60
TIMES = 1403715500 + np.arange(COUNT) / 20
RNG = np.random.default_rng(11)
WAY = np.cumsum(RNG.normal(size=(COUNT, 3)), axis=0)
TURNS = Rotation.from_rotvec(np.cumsum(RNG.normal(scale=0.1, size=(COUNT, 3)), axis=0))
FOUND_WAY = (WAY + RNG.normal(scale=0.05, size=WAY.shape)) @ Rotation.from_rotvec([0, 0, 1]).as_matrix() * 0.5
FOUND_TURNS = (
    Rotation.from_rotvec([0, 0, -1]) * TURNS * Rotation.from_rotvec(RNG.normal(scale=0.01, size=(COUNT, 3)))
)
CALIBRATION = "T_BS:\n  cols: 4\n  rows: 4\n  data: {}\n"


def write_tum(path: Path, way: np.ndarray, turns: Rotation, times: np.ndarray = TIMES) -> Path:
    rows = np.column_stack([times, way, turns.as_quat()])
    np.savetxt(path, rows, fmt=["%.6f", *["%.9f"] * 7])
    return path


def write_kitti(path: Path, way: np.ndarray, turns: Rotation) -> Path:
    # Six digits, as KITTI has: the matrices are no exact rotations.
    np.savetxt(path, np.dstack([turns.as_matrix(), way]).reshape(-1, 12), fmt="%.6e")
    return path


def write_euroc(path: Path, way: np.ndarray, turns: Rotation) -> Path:
    rows = np.column_stack([way, np.roll(turns.as_quat(), 1, axis=1)])
    lines = ["#timestamp [ns],p_x,p_y,p_z,q_w,q_x,q_y,q_z"]
    for time, row in zip(TIMES, rows, strict=True):
        lines.append(",".join([f"{time:.6f}000".replace(".", ""), *(f"{value:.9f}" for value in row)]))
    path.write_text("\n".join(lines) + "\n")
    return path


def compare(
    truth: Path, estimate: Path, out: Path, comparison: Comparison | None = None
) -> tuple[dict[str, object], dict[str, object]]:
    out.mkdir(exist_ok=True)
    evaluate(estimate, truth, comparison or Comparison(), Step(), Drawing(), out=out)
    ate, rpe = (json.loads((out / name).read_text()) for name in ("ate.json", "rpe.json"))
    return ate, rpe


def check(ours: object, evo: Figures) -> None:
    assert isinstance(ours, dict)
    for name, value in evo.items():
        assert ours[name] == pytest.approx(value, rel=1e-6, abs=1e-9), name


WRITERS: dict[str, Callable[[Path, np.ndarray, Rotation], Path]] = {
    "tum": write_tum,
    "kitti": write_kitti,
    "euroc": write_euroc,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_the_figures_are_evos(kind: str, tmp_path: Path) -> None:
    truth = WRITERS[kind](tmp_path / "truth", WAY, TURNS)
    estimate = (write_kitti if kind == "kitti" else write_tum)(tmp_path / "estimate", FOUND_WAY, FOUND_TURNS)
    absolute, lengths, angles = evo_figures(tmp_path, kind, truth, estimate)
    ate, rpe = compare(truth, estimate, tmp_path / "out")
    check(ate, absolute)
    check(rpe["translation"], lengths)
    check(rpe["rotation_deg"], angles)
    assert ate["pairs"] == COUNT
    assert ate["frame"] == ("body" if kind == "euroc" else None)
    assert "warning" not in ate


def test_an_estimate_may_have_any_format(tmp_path: Path) -> None:
    """The same poses give the same figures; times for matrices come from a file beside them."""
    truth = write_tum(tmp_path / "truth", WAY, TURNS)
    expected, _ = compare(truth, write_tum(tmp_path / "e.txt", FOUND_WAY, FOUND_TURNS), tmp_path / "out")
    np.savetxt(tmp_path / "times.txt", TIMES, fmt="%.6f")
    for name, write in WRITERS.items():
        ate, _ = compare(truth, write(tmp_path / f"{name}.x", FOUND_WAY, FOUND_TURNS), tmp_path / "out")
        assert ate["rmse"] == pytest.approx(expected["rmse"], rel=1e-4), name
    assert any(
        "its timestamps are those of" in note for note in _notes(truth, tmp_path / "kitti.x", tmp_path)
    )


def _notes(truth: Path, estimate: Path, out: Path) -> list[str]:
    notes = compare(truth, estimate, out / "notes")[0].get("notes", [])
    assert isinstance(notes, list)
    return notes


def test_matrices_without_times_belong_to_nothing_with_times(tmp_path: Path) -> None:
    truth = write_tum(tmp_path / "truth", WAY, TURNS)
    estimate = write_kitti(tmp_path / "00.txt", FOUND_WAY, FOUND_TURNS)
    with pytest.raises(InputError, match=r"the estimate has no timestamps.*times\.txt"):
        compare(truth, estimate, tmp_path / "out")
    # evo refuses it, too: its poses differ in number.
    short = write_kitti(tmp_path / "short.txt", FOUND_WAY[:9], FOUND_TURNS[:9])
    with pytest.raises(InputError, match="the estimate has 9 poses and the ground truth 60"):
        compare(estimate, short, tmp_path / "out")


def test_places_may_be_a_part_of_all(tmp_path: Path) -> None:
    """Every third image of an ordered folder, beside a truth of one line for each image."""
    truth = write_kitti(tmp_path / "00.txt", WAY, TURNS)
    picked = slice(3, None, 3)
    places = np.arange(COUNT)[picked]
    estimate = write_tum(tmp_path / "estimate", FOUND_WAY[picked], FOUND_TURNS[picked], places)
    ate, _ = compare(truth, estimate, tmp_path / "out")
    assert ate["pairs"] == len(places)
    assert ate["rmse"] == pytest.approx(0.087, abs=0.03)


# --- of what the poses are ---


def camera_estimate(path: Path, frame: str, tmp_path: Path) -> Trajectory:
    """The left camera's path where the body's is the truth."""
    body = Trajectory(
        stamps=tuple(f"{time:.6f}" for time in TIMES),
        positions=WAY,
        quaternions=TURNS.as_quat(),
        frame="body",
    )
    estimate = turn_to(body, frame, find_mount(tmp_path / "mav0" / "truth" / "data.csv"))
    write_trajectory(path, estimate)
    return estimate


@pytest.fixture
def truth(tmp_path: Path) -> Path:
    folder = tmp_path / "mav0" / "state_groundtruth_estimate0"
    folder.mkdir(parents=True)
    return write_euroc(folder / "data.csv", WAY, TURNS)


@pytest.mark.parametrize("frame", ["camera", "raw-camera"])
def test_the_estimate_says_what_it_is_of(tmp_path: Path, truth: Path, frame: str) -> None:
    camera_estimate(tmp_path / "estimate.tum", frame, tmp_path)
    ate, rpe = compare(truth, tmp_path / "estimate.tum", tmp_path / "out")
    assert (ate["frame"], rpe["frame"]) == (frame, frame)
    assert ate["rmse"] < 1e-6
    assert rpe["rotation_deg"]["max"] < 1e-4  # type: ignore[index]


@pytest.mark.long
def test_a_run_says_it_in_its_summary(tmp_path: Path, truth: Path) -> None:
    path = tmp_path / "trajectory.tum"
    camera_estimate(path, "camera", tmp_path)
    path.write_text(path.read_text().replace("# frame: camera\n", ""))
    assert compare(truth, path, tmp_path / "out")[0]["frame"] == "body"
    # Runs of DROID-SLAM that are older than this word were of the rectified camera.
    for summary in ({"frame": "camera"}, {"engine": "droid"}):
        (tmp_path / "summary.json").write_text(json.dumps(summary))
        ate, _ = compare(truth, path, tmp_path / "out")
        assert ate["frame"] == "camera"
        assert ate["rmse"] < 1e-6


@pytest.mark.parametrize(
    ("frame", "degrees"), [("camera", 89.1), pytest.param("raw-camera", 89.2, marks=pytest.mark.long)]
)
def test_a_turn_that_is_the_same_at_all_times_is_warned_of(
    tmp_path: Path, truth: Path, frame: str, degrees: float, capsys: pytest.CaptureFixture[str]
) -> None:
    camera_estimate(tmp_path / "estimate.tum", frame, tmp_path)
    ate, rpe = compare(truth, tmp_path / "estimate.tum", tmp_path / "out", Comparison(frame="body"))
    assert ate["rmse"] > 0.01
    warning = str(rpe["warning"])
    assert f"turned by {degrees} degrees" in warning
    assert warning.endswith(f"try --frame {frame}")
    assert f"warning    {warning}" in capsys.readouterr().out
    # As it is, and the other way round.
    ate, _ = compare(truth, tmp_path / "estimate.tum", tmp_path / "out", Comparison(frame="as-is"))
    assert str(ate["warning"]) == warning
    body = write_tum(tmp_path / "body.txt", WAY, TURNS)
    _, rpe = compare(truth, body, tmp_path / "out", Comparison(frame=frame))
    assert str(rpe["warning"]).endswith("try --frame body")


def test_the_size_of_a_turn_is_that_of_the_one_that_was_made(tmp_path: Path) -> None:
    """By hand: axes 30 degrees about z from the truth's, in TUM's format, where no option helps."""
    truth = write_tum(tmp_path / "truth", WAY, TURNS)
    turned = FOUND_TURNS * Rotation.from_euler("z", 30, degrees=True)
    _, rpe = compare(truth, write_tum(tmp_path / "estimate", FOUND_WAY, turned), tmp_path / "out")
    assert "turned by 30." in str(rpe["warning"]) or "turned by 29." in str(rpe["warning"])
    assert "give a ground truth of what the estimate is of" in str(rpe["warning"])


def test_another_cameras_recording_has_its_own_mount(tmp_path: Path, truth: Path) -> None:
    mount = np.eye(4)
    mount[:3, :3] = Rotation.from_euler("x", 90, degrees=True).as_matrix()
    mount[:3, 3] = [0.5, 0, 0]
    (tmp_path / "mav0" / "cam0").mkdir()
    sensor = tmp_path / "mav0" / "cam0" / "sensor.yaml"
    sensor.write_text(CALIBRATION.format(mount.ravel().tolist()))
    estimate = write_tum(
        tmp_path / "estimate",
        WAY + TURNS.apply([0.5, 0, 0]),
        TURNS * Rotation.from_euler("x", 90, degrees=True),
    )
    ate, rpe = compare(truth, estimate, tmp_path / "out", Comparison(frame="raw-camera", alignment="none"))
    assert ate["rmse"] < 1e-6
    assert rpe["rotation_deg"]["max"] < 1e-4  # type: ignore[index]
    with pytest.raises(InputError, match="how this camera's images are rectified is not known"):
        compare(truth, estimate, tmp_path / "out", Comparison(frame="camera"))
    sensor.write_text("T_BS: [1, 2]\n")
    with pytest.raises(InputError, match=r"sensor.yaml: no T_BS"):
        compare(truth, estimate, tmp_path / "out", Comparison(frame="raw-camera"))


def test_a_truth_of_markers_is_turned_to_the_body(tmp_path: Path, truth: Path) -> None:
    """EuRoC's Vicon rooms: vicon0/data.csv is of markers, which its sensor.yaml lays into the body."""
    marker = np.eye(4)
    marker[:3, :3] = Rotation.from_euler("xyz", [10, 70, -130], degrees=True).as_matrix()
    marker[:3, 3] = [0.07, -0.03, -0.12]
    (tmp_path / "mav0" / "vicon0").mkdir()
    path = tmp_path / "mav0" / "vicon0" / "data.csv"
    turns = TURNS * Rotation.from_matrix(marker[:3, :3])
    write_euroc(path, WAY + TURNS.apply(marker[:3, 3]), turns)
    path.with_name("sensor.yaml").write_text(CALIBRATION.format(marker.ravel().tolist()))
    body = write_tum(tmp_path / "estimate", WAY, TURNS)
    ate, rpe = compare(path, body, tmp_path / "out", Comparison(frame="body", alignment="none"))
    assert ate["rmse"] < 1e-6
    assert rpe["rotation_deg"]["max"] < 1e-4  # type: ignore[index]
    # Of an estimate that says nothing evo compares the files as they are.
    ate, _ = compare(path, body, tmp_path / "out", Comparison(alignment="none"))
    assert ate["frame"] is None
    assert ate["rmse"] == pytest.approx(np.linalg.norm(marker[:3, 3]), rel=1e-4)
    # A sensor.yaml that says that it is the body, as beside EuRoC's estimated truth.
    truth.with_name("sensor.yaml").write_text(CALIBRATION.format(np.eye(4).ravel().tolist()))
    ate, _ = compare(truth, body, tmp_path / "out", Comparison(frame="body", alignment="none"))
    assert ate["rmse"] < 1e-6


def test_tum_vi_says_by_a_camchain_how_its_camera_sits(tmp_path: Path) -> None:
    """Its mocap0/data.csv is of the IMU, and dso/camchain.yaml has T_cam_imu."""
    path = tmp_path / "mav0" / "mocap0" / "data.csv"
    path.parent.mkdir(parents=True)
    write_euroc(path, WAY, TURNS)
    in_body = Rotation.from_euler("zx", [90, 20], degrees=True)
    estimate = write_tum(tmp_path / "estimate", WAY + TURNS.apply([0.05, 0.07, -0.04]), TURNS * in_body)
    comparison = Comparison(frame="raw-camera", alignment="none")
    with pytest.raises(InputError, match=r"how the camera sits in the body is not known; give its T_BS"):
        compare(path, estimate, tmp_path / "out", comparison)
    mount = np.eye(4)
    mount[:3, :3], mount[:3, 3] = in_body.as_matrix(), [0.05, 0.07, -0.04]
    (tmp_path / "dso").mkdir()
    chain = {"cam0": {"T_cam_imu": np.linalg.inv(mount).tolist()}}
    (tmp_path / "dso" / "camchain.yaml").write_text(yaml.safe_dump(chain))
    ate, rpe = compare(path, estimate, tmp_path / "out", comparison)
    assert ate["rmse"] < 1e-6
    assert rpe["rotation_deg"]["max"] < 1e-4  # type: ignore[index]


# --- clocks ---


def test_a_truth_of_positions_alone_is_told(tmp_path: Path) -> None:
    """As of a total station or GPS: `0 0 0 1` on each line."""
    truth = write_tum(tmp_path / "truth", WAY, Rotation.identity(COUNT))
    _, rpe = compare(truth, write_tum(tmp_path / "estimate", WAY, TURNS), tmp_path / "out")
    assert "the ground truth's rotations are all the same" in str(rpe["warning"])


def test_places_beside_times_are_told(tmp_path: Path) -> None:
    """Frame numbers 0, 1, 2 match seconds of a truth that begins at 0; the errors then mean nothing."""
    truth = write_tum(tmp_path / "truth", WAY, TURNS, 0.5 * np.arange(len(WAY)))
    estimate = write_tum(tmp_path / "estimate", WAY, TURNS, np.arange(len(WAY)))
    words = (
        "the estimate's timestamps are whole numbers, as places of images are, and the other file's are times"
    )
    assert any(words in note for note in _notes(truth, estimate, tmp_path))


def test_timestamps_that_are_not_as_many_as_poses_are_refused(tmp_path: Path) -> None:
    """Of every second frame, or of the first half of them? The errors would be right in one case."""
    np.savetxt(tmp_path / "times.txt", TIMES, fmt="%.6f")
    estimate = write_kitti(tmp_path / "estimate.txt", WAY[::2], TURNS[::2])
    with pytest.raises(
        InputError, match=r"timestamps for \d+ poses of .*; which belong together is not known"
    ):
        compare(write_tum(tmp_path / "truth", WAY, TURNS), estimate, tmp_path / "out")


def test_an_offset_is_added_to_the_estimate(tmp_path: Path) -> None:
    truth = write_tum(tmp_path / "truth", WAY, TURNS)
    estimate = write_tum(tmp_path / "estimate", FOUND_WAY, FOUND_TURNS, TIMES - 1403715500)
    absolute, lengths, angles = evo_figures(
        tmp_path, "tum", truth, estimate, "--t_offset", "1403715500", alignment="se3"
    )
    ate, rpe = compare(
        truth, estimate, tmp_path / "out", Comparison(alignment="se3", time_offset_s=1403715500)
    )
    check(ate, absolute)
    check(rpe["translation"], lengths)
    check(rpe["rotation_deg"], angles)
    with pytest.raises(InputError, match=r"begin 1403715500\.000000 s apart.* --time-offset 1403715500\.0"):
        compare(truth, estimate, tmp_path / "out")


@pytest.mark.parametrize(
    ("factor", "name"),
    [
        pytest.param(1e3, "milliseconds", marks=pytest.mark.long),
        pytest.param(1e6, "microseconds", marks=pytest.mark.long),
        (1e9, "nanoseconds"),
    ],
)
@pytest.mark.parametrize("start", others_long([0.0, 1403715500.0], 1403715500.0))
def test_units_of_clocks_on_either_side(tmp_path: Path, factor: float, name: str, start: float) -> None:
    times = TIMES - 1403715500 + start
    for side in ("truth", "estimate"):
        clocks = {"truth": times, "estimate": times, side: np.rint(times * factor)}
        ate, _ = compare(
            write_tum(tmp_path / "truth.txt", WAY, TURNS, clocks["truth"]),
            write_tum(tmp_path / "estimate.txt", FOUND_WAY, FOUND_TURNS, clocks["estimate"]),
            tmp_path / "out",
        )
        assert ate["pairs"] == COUNT
        notes = ate["notes"]
        assert isinstance(notes, list)
        assert name in notes[0]
        assert side in notes[0]


def test_seconds_stay_seconds_where_few_match(tmp_path: Path) -> None:
    """Only an hour's last minute has a truth; as thousandths all stamps would lie within four seconds."""
    times = np.arange(0.0, 3600.0, 0.5)
    found = np.resize(WAY, (len(times), 3))
    turns = Rotation.from_quat(np.resize(TURNS.as_quat(), (len(times), 4)))
    estimate = write_tum(tmp_path / "estimate", found, turns, times)
    truth = write_tum(tmp_path / "truth", WAY, TURNS, 3540 + np.arange(COUNT))
    assert compare(truth, estimate, tmp_path / "out")[0]["pairs"] == COUNT
