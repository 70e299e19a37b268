import csv
import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.result_files import WITH_TRUTH


def run_infer(slam, dataset: Path, out: Path, *options: str, **variables: str):
    done = slam(
        "--task", "infer", "--data-root", dataset.parent, "--dataset", dataset.name, *options,
        SLIPWAY_OUT=str(out), **variables,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert {path.name for path in out.iterdir()} == WITH_TRUTH
    return done, *(json.loads((out / name).read_text()) for name in ("summary.json", "ate.json"))


def test_reconstructs_the_room(slam, scene: Path, tmp_path: Path) -> None:
    done, summary, ate = run_infer(slam, scene, tmp_path, OMP_NUM_THREADS="1", SLURM_CPUS_PER_TASK="64")
    assert summary["frames"] == summary["frames_registered"] == 8
    assert summary["threads"] == 1
    assert (summary["dataset"], summary["engine"], summary["intrinsics_known"]) == ("room", "colmap", True)
    assert summary["camera"] == {
        "model": "PINHOLE",
        "parameters": [262.5, 262.5, 160, 120],
        "image_size": [320, 240],
    }
    assert summary["points"] > 300
    assert summary["mean_reprojection_error_px"] < 1
    assert (summary["source"], summary["arguments"]["dataset"]) == ("room", "room")
    assert {"python", "pycolmap", "numpy", "evo"} <= set(summary["versions"])
    assert ate["pairs"] == 8
    assert ate["rmse_percent_of_path"] < 1
    for line in (
        "8 images of 320x240",
        "features   8/8",
        "matching   exhaustive",
        "registered 8 of 8",
        "ATE rmse",
    ):
        assert line in done.stdout
    # The truth is kept with the estimate, under the stamps and in the unit of its file.
    truth = np.loadtxt(tmp_path / "groundtruth.tum")
    assert truth == pytest.approx(np.loadtxt(scene / "groundtruth.txt"), abs=1e-8)
    stamps = [line.split()[0] for line in (scene / "groundtruth.txt").read_text().splitlines()]
    assert [line.split()[0] for line in (tmp_path / "trajectory.tum").read_text().splitlines()] == stamps
    with (tmp_path / "errors.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["image"] for row in rows] == sorted(path.name for path in (scene / "rgb").iterdir())
    assert np.mean([float(row["ate"]) ** 2 for row in rows]) == pytest.approx(ate["rmse"] ** 2)
    assert json.loads((tmp_path / "rpe.json").read_text())["pairs"] == 7


def test_rotations_are_camera_to_world_too(slam, scene: Path, tmp_path: Path) -> None:
    """The rotation between estimate and truth is one and the same for all frames."""
    _, summary, _ = run_infer(slam, scene, tmp_path)
    truth, estimate = (
        np.loadtxt(path)[:, 4:] for path in (scene / "groundtruth.txt", tmp_path / "trajectory.tum")
    )
    from scipy.spatial.transform import Rotation

    between = Rotation.from_quat(truth) * Rotation.from_quat(estimate).inv()
    assert np.degrees((between * between[0].inv()).magnitude()).max() < 0.5
    # The room's z is up, and the summary says so in the world of the estimate.
    assert summary["up"]["source"] == "z, by how the cameras are held"
    np.testing.assert_allclose(between[0].apply(summary["up"]["direction"]), [0, 0, 1], atol=0.01)


@pytest.mark.long
def test_two_runs_agree(slam, scene: Path, tmp_path: Path) -> None:
    runs = []
    for name in ("one", "two"):
        run_infer(slam, scene, tmp_path / name, "--threads", "1", "--seed", "3")
        runs.append(
            [(tmp_path / name / file).read_bytes() for file in ("trajectory.tum", "cloud.ply", "ate.json")]
        )
    assert runs[0] == runs[1]


@pytest.mark.parametrize(
    ("number", "exit_code"),
    [pytest.param(signal.SIGTERM, 143, marks=pytest.mark.long), (signal.SIGUSR1, 138)],
)
def test_stops_when_it_is_told_to(
    scene: Path, tmp_path: Path, job_environment: dict[str, str], number: int, exit_code: int
) -> None:
    argv = [
        sys.executable,
        "-m",
        "slam",
        "--task",
        "infer",
        "--data-root",
        scene.parent,
        "--dataset",
        scene.name,
    ]
    process = subprocess.Popen(
        argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**job_environment, "SLIPWAY_OUT": str(tmp_path)},
    )  # fmt: skip
    assert process.stdout is not None
    # By then COLMAP, whose logging library takes signals for itself, has been loaded.
    while not process.stdout.readline().startswith("matching"):
        assert process.poll() is None
    process.send_signal(number)
    _, said = process.communicate(timeout=20)
    assert (process.returncode, said) == (
        exit_code,
        f"slam: stopped by {signal.Signals(number).name} before it was finished\n",
    )
    assert list(tmp_path.iterdir()) == []
