import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from slam.errors import InputError
from slam.evaluate.absolute import Comparison, compare
from slam.evaluate.relative import Step, measure_drift
from slam.posefile.posefile import read_posefile
from slam.trajectory import Trajectory, write_trajectory

MOVE = np.array([5.0, 6, 7])
NONE = Comparison(alignment="none")


def trajectory(positions: np.ndarray, turns: Rotation, period_s: float = 0.1) -> Trajectory:
    return Trajectory(
        stamps=tuple(f"{place * period_s:.6f}" for place in range(len(positions))),
        positions=np.asarray(positions, float),
        quaternions=turns.as_quat(),
    )


def still(count: int) -> Rotation:
    return Rotation.from_rotvec(np.zeros((count, 3)))


def test_a_known_drift_is_what_is_measured() -> None:
    """1 cm sideways and half a degree a frame, on a straight way."""
    count = 31
    way = np.outer(np.arange(count), [0.2, 0, 0])
    truth = trajectory(way, still(count))
    drifted = trajectory(way + np.outer(np.arange(count), [0, 0.01, 0]), still(count))
    for delta in (1, 5, 10):
        drift = measure_drift(truth, drifted, NONE, Step(delta=delta))
        assert drift.translation["rmse"] == pytest.approx(0.01 * delta)
        assert drift.translation["max"] == pytest.approx(0.01 * delta)
        assert drift.rotation["max"] == pytest.approx(0, abs=1e-5)
        assert drift.pairs == 30 // delta
    turned = trajectory(way, Rotation.from_rotvec(np.outer(np.radians(0.5) * np.arange(count), [0, 0, 1])))
    drift = measure_drift(truth, turned, NONE, Step(delta=4))
    assert drift.rotation["rmse"] == pytest.approx(2.0)
    assert (drift.summarize()["unit"], drift.summarize()["pairs"]) == ("frames", 7)


def test_where_the_world_lies_and_how_it_is_turned_does_not_matter() -> None:
    rng = np.random.default_rng(0)
    turns = Rotation.from_rotvec(np.cumsum(rng.normal(scale=0.1, size=(40, 3)), axis=0))
    way = np.cumsum(rng.normal(size=(40, 3)), axis=0)
    world = Rotation.from_rotvec([0.3, -1, 0.2])
    moved = trajectory(world.apply(way) + MOVE, world * turns)
    drift = measure_drift(trajectory(way, turns), moved, NONE, Step(delta=3, all_pairs=True))
    assert drift.pairs == 37
    assert drift.translation["max"] < 1e-9
    assert drift.rotation["max"] < 1e-5


@pytest.mark.parametrize(("all_pairs", "pairs"), [(False, 5), (True, 41)])
def test_steps_in_seconds(all_pairs: bool, pairs: int) -> None:
    """5 s at 10 Hz: five steps of a second, or one from each of the first 41 poses."""
    way = np.outer(np.arange(51), [0.2, 0, 0])
    drifted = trajectory(way + np.outer(np.arange(51), [0, 0, 0.003]), still(51))
    drift = measure_drift(
        trajectory(way, still(51)), drifted, NONE, Step(delta=1.0, unit="seconds", all_pairs=all_pairs)
    )
    assert drift.pairs == pairs
    assert drift.translation["mean"] == pytest.approx(0.03)


def test_a_gap_in_time_is_no_step() -> None:
    way = np.outer(np.arange(51), [0.2, 0, 0])
    whole = trajectory(way, still(51))
    kept = [*range(15), *range(29, 51)]
    holey = Trajectory(
        stamps=tuple(whole.stamps[place] for place in kept),
        positions=whole.positions[kept],
        quaternions=whole.quaternions[kept],
    )
    # 0 to 1 s, then nothing is a second after 1.0 to 1.4 s but for 2.9 s, which is too late.
    assert measure_drift(whole, holey, NONE, Step(unit="seconds")).pairs == 3


@pytest.mark.parametrize(
    "step", [Step(delta=90), Step(delta=90, unit="meters"), Step(delta=90, unit="seconds")]
)
def test_a_step_beyond_the_end(step: Step) -> None:
    way = np.outer(np.arange(31), [0.2, 0, 0])
    with pytest.raises(InputError, match=r"90 (frames|meters|seconds)"):
        measure_drift(trajectory(way, still(31)), trajectory(way, still(31)), NONE, step)


def evo_rpe(truth: Path, estimate: Path, folder: Path, *options: str) -> dict[str, float]:
    """What evo's own command line says."""
    results = folder / f"{'_'.join(options)}.zip"
    program = Path(sys.executable).with_name("evo_rpe")
    subprocess.run(
        [program, "tum", truth, estimate, *options, "--save_results", results, "--no_warnings"],
        env={**os.environ, "HOME": str(folder), "MPLCONFIGDIR": str(folder)},
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(results) as archive:
        stats: dict[str, float] = json.loads(archive.read("stats.json"))
    return stats


@pytest.mark.parametrize(
    ("step", "alignment", "options"),
    [
        (Step(delta=10), "sim3", ["-as", "--delta", "10", "--delta_unit", "f"]),
        (
            Step(delta=0.5, unit="meters", all_pairs=True),
            "se3",
            ["-a", "--delta", "0.5", "--delta_unit", "m", "--all_pairs"],
        ),
    ],
)
def test_agrees_with_evo_rpe_on_a_real_trajectory(
    shared_data: Path, tmp_path: Path, step: Step, alignment: str, options: list[str]
) -> None:
    truth_file, estimate_file = shared_data / "tum_fr1_xyz_groundtruth.txt", tmp_path / "estimate.tum"
    truth = read_posefile(truth_file).trajectory
    picked = slice(100, 2500, 9)
    rng = np.random.default_rng(5)
    shape = truth.positions[picked].shape
    world = Rotation.from_rotvec([0, 0, 1.1])
    wobble = Rotation.from_rotvec(rng.normal(scale=0.004, size=shape))
    estimate = Trajectory(
        stamps=tuple(f"{time + 0.002:.4f}" for time in truth.times[picked]),
        positions=0.4 * world.apply(truth.positions[picked] + rng.normal(scale=0.002, size=shape))
        + [1, 2, 3],
        quaternions=(world * Rotation.from_quat(truth.quaternions[picked]) * wobble).as_quat(),
    )
    write_trajectory(estimate_file, estimate)
    ours = measure_drift(
        truth, read_posefile(estimate_file).trajectory, Comparison(alignment=alignment), step
    )
    for relation, statistics in (("trans_part", ours.translation), ("angle_deg", ours.rotation)):
        evo = evo_rpe(truth_file, estimate_file, tmp_path, "-r", relation, *options)
        for name, value in evo.items():
            assert statistics[name] == pytest.approx(value, rel=1e-9), (relation, name)
    # The wobble of both ends of a step, in three axes.
    assert ours.rotation["rmse"] == pytest.approx(np.degrees(np.sqrt(6) * 0.004), rel=0.1)


def test_aligned_at_the_origin_the_first_error_is_none() -> None:
    rng = np.random.default_rng(1)
    way = np.cumsum(rng.normal(size=(30, 3)), axis=0)
    turns = Rotation.from_rotvec(np.cumsum(rng.normal(scale=0.1, size=(30, 3)), axis=0))
    world = Rotation.from_rotvec([0.3, -1, 0.2])
    moved = trajectory(world.apply(way) + MOVE, world * turns)
    exact = compare(trajectory(way, turns), moved, Comparison(alignment="origin"))
    assert exact.errors.max() < 1e-9
    assert exact.scale == 1.0
    np.testing.assert_allclose(exact.align(moved.positions), way, atol=1e-9)
    longer = trajectory(2 * (world.apply(way) + MOVE), world * turns)
    errors = compare(trajectory(way, turns), longer, Comparison(alignment="origin")).errors
    np.testing.assert_allclose(errors, np.linalg.norm(way - way[0], axis=1), atol=1e-9)


def test_known_noise_on_a_real_trajectory_is_its_error(shared_data: Path) -> None:
    """Moved, turned and scaled copies have no error; noise of a known size has its own."""
    truth = read_posefile(shared_data / "tum_fr1_xyz_groundtruth.txt").trajectory
    world, sigma = Rotation.from_rotvec([0.5, 0.1, -2.0]), 0.01
    noise = np.random.default_rng(3).normal(scale=sigma, size=truth.positions.shape)
    for scale, added, expected in ((0.3, 0 * noise, 0.0), (1.0, noise, np.sqrt(3) * sigma)):
        estimate = Trajectory(
            stamps=truth.stamps,
            positions=scale * world.apply(truth.positions + added) - [4, 0, 2],
            quaternions=(world * Rotation.from_quat(truth.quaternions)).as_quat(),
        )
        found = compare(truth, estimate, Comparison(alignment="sim3"))
        assert found.statistics["rmse"] == pytest.approx(expected, rel=0.02, abs=1e-9)
        assert found.scale == pytest.approx(1 / scale, rel=0.01)
