import csv
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from slam.evaluate.absolute import Comparison, compare
from slam.evaluate.frame_error import write_errors
from slam.evaluate.relative import Step, measure_drift
from slam.posefile.posefile import read_posefile
from slam.trajectory import Trajectory, write_trajectory


def evo_errors(program: str, truth: Path, estimate: Path, folder: Path, *options: str) -> np.ndarray:
    """The error array that evo's own command line keeps."""
    results = folder / f"{program}{'_'.join(options)}.zip"
    subprocess.run(
        [
            *(Path(sys.executable).with_name(program), "tum", truth, estimate, *options),
            *("--save_results", results, "--no_warnings"),
        ],
        env={**os.environ, "HOME": str(folder), "MPLCONFIGDIR": str(folder)},
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(results) as archive, archive.open("error_array.npy") as file:
        return np.asarray(np.load(file))


def read_rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def column(rows: list[dict[str, str]], name: str) -> np.ndarray:
    return np.array([float(row[name]) for row in rows if row[name]])


def test_rows_are_evos_error_arrays(shared_data: Path, tmp_path: Path) -> None:
    truth_file, estimate_file = shared_data / "tum_fr1_xyz_groundtruth.txt", tmp_path / "estimate.tum"
    truth, picked = read_posefile(truth_file).trajectory, slice(100, 2500, 30)
    rng = np.random.default_rng(5)
    shape = truth.positions[picked].shape
    wobble = Rotation.from_rotvec(rng.normal(scale=0.02, size=shape))
    estimate = Trajectory(
        stamps=tuple(f"{time + 0.002:.4f}" for time in truth.times[picked]),
        positions=0.4 * (truth.positions[picked] + rng.normal(scale=0.003, size=shape)) + [1, 2, 3],
        quaternions=(Rotation.from_quat(truth.quaternions[picked]) * wobble).as_quat(),
    )
    write_trajectory(estimate_file, estimate)
    # As it stands in the file, which rounds.
    estimate = read_posefile(estimate_file).trajectory
    evaluation = compare(truth, estimate, Comparison())
    drift = measure_drift(truth, estimate, Comparison(), Step(delta=3))
    images = {estimate.stamps[1]: "desk 1, left.png"}
    write_errors(tmp_path / "errors.csv", evaluation, drift, estimate, images)

    rows = read_rows(tmp_path / "errors.csv")
    assert [row["timestamp"] for row in rows] == list(estimate.stamps)
    assert [row["image"] for row in rows[:3]] == ["", "desk 1, left.png", ""]
    for name, program, relation, more in (
        ("ate", "evo_ape", "trans_part", ()),
        ("rotation_error_deg", "evo_ape", "angle_deg", ()),
        ("rpe_translation", "evo_rpe", "trans_part", ("--delta", "3")),
        ("rpe_rotation_deg", "evo_rpe", "angle_deg", ("--delta", "3")),
    ):
        evo = evo_errors(program, truth_file, estimate_file, tmp_path, "-as", "-r", relation, *more)
        np.testing.assert_allclose(column(rows, name), evo, rtol=0, atol=1e-9, err_msg=name)
    # A step of three frames ends with the fourth, and begins with the first.
    assert [bool(row["rpe_from"]) for row in rows[:7]] == [False, False, False, True, False, False, True]
    assert rows[6]["rpe_from"] == estimate.stamps[3]


def test_the_rotations_statistics_are_those_of_the_rows(tmp_path: Path) -> None:
    """A camera that looks one, two, three … degrees aside, and is where it should be."""
    way = np.random.default_rng(0).normal(size=(9, 3))
    stamps = tuple(f"{place}.0" for place in range(9))
    aside = Rotation.from_rotvec(np.outer(np.radians(np.arange(9)), [0, 0, 1]))
    truth = Trajectory(stamps=stamps, positions=way, quaternions=np.tile([0.0, 0, 0, 1], (9, 1)))
    estimate = Trajectory(stamps=stamps, positions=way, quaternions=aside.as_quat())
    evaluation = compare(truth, estimate, Comparison(alignment="none"))
    write_errors(tmp_path / "errors.csv", evaluation, None, estimate)
    rows = read_rows(tmp_path / "errors.csv")
    np.testing.assert_allclose(column(rows, "rotation_error_deg"), np.arange(9), atol=1e-9)
    rotation = evaluation.summarize()["rotation_deg"]
    assert isinstance(rotation, dict)
    assert rotation["mean"] == pytest.approx(4)
    assert rotation["max"] == pytest.approx(8)
    assert {row["rpe_translation"] for row in rows} == {""}


def test_timestamps_stay_as_they_were_written(tmp_path: Path) -> None:
    """What was compared may count seconds where the file counts milliseconds."""
    way = np.random.default_rng(1).normal(size=(6, 3))
    level = np.tile([0.0, 0, 0, 1], (6, 1))
    truth = Trajectory(
        stamps=tuple(f"{place / 10}" for place in (5, 3, 4)), positions=way[[5, 3, 4]], quaternions=level[:3]
    )
    written = Trajectory(stamps=tuple(f"{place}00" for place in range(6)), positions=way, quaternions=level)
    compared = Trajectory(
        stamps=tuple(f"{place / 10}" for place in range(6)), positions=way, quaternions=level
    )
    evaluation = compare(truth, compared, Comparison(alignment="none"))
    write_errors(tmp_path / "errors.csv", evaluation, None, written, {"400": "d.png"})
    rows = read_rows(tmp_path / "errors.csv")
    assert sorted((row["timestamp"], row["image"]) for row in rows) == [
        ("300", ""),
        ("400", "d.png"),
        ("500", ""),
    ]
    np.testing.assert_array_equal(column(rows, "ate"), 0)
