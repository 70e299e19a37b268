import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from slam.errors import InputError
from slam.evaluate.absolute import Comparison, compare
from slam.evaluate.timing import require_matches
from slam.posefile.posefile import read_posefile
from slam.trajectory import Trajectory, write_trajectory


def trajectory(positions: np.ndarray, first_s: float = 0.0) -> Trajectory:
    """Positions at 10 Hz with no rotation."""
    return Trajectory(
        stamps=tuple(f"{first_s + place / 10:.6f}" for place in range(len(positions))),
        positions=np.asarray(positions, float),
        quaternions=np.tile([0.0, 0, 0, 1], (len(positions), 1)),
    )


def walk(count: int, seed: int = 0) -> np.ndarray:
    return np.cumsum(np.random.default_rng(seed).normal(size=(count, 3)), axis=0)


def rotation_z(angle: float) -> np.ndarray:
    return np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])


def test_a_turned_moved_and_scaled_copy_has_no_error() -> None:
    truth = walk(50)
    estimate = 0.25 * (truth - [1, 2, 3]) @ rotation_z(0.7)
    evaluation = compare(trajectory(truth), trajectory(estimate), Comparison())
    assert evaluation.statistics["max"] < 1e-12
    assert evaluation.scale == pytest.approx(4)
    np.testing.assert_allclose(evaluation.align(estimate), truth, atol=1e-12)
    assert evaluation.path_length == pytest.approx(np.linalg.norm(np.diff(truth, axis=0), axis=1).sum())


def test_without_alignment_an_offset_is_the_error() -> None:
    truth = walk(20)
    evaluation = compare(
        trajectory(truth), trajectory(truth + np.array([3, 4, 0])), Comparison(alignment="none")
    ).summarize()
    for name in ("rmse", "mean", "median", "min", "max"):
        assert evaluation[name] == pytest.approx(5)
    assert evaluation["std"] == pytest.approx(0, abs=1e-12)
    assert evaluation["sse"] == pytest.approx(20 * 25)
    assert (evaluation["pairs"], evaluation["alignment"], evaluation["scale"]) == (20, "none", 1.0)


def test_without_scale_the_size_is_the_error() -> None:
    # A square of side 2 against one of side 4 around the same middle: each corner is sqrt(2) off.
    square = np.array([[1.0, 1, 0], [-1, 1, 0], [-1, -1, 0], [1, -1, 0]])
    evaluation = compare(
        trajectory(square), trajectory(2 * square @ rotation_z(1.0) + 7), Comparison(alignment="se3")
    )
    np.testing.assert_allclose(evaluation.errors, np.sqrt(2), atol=1e-12)
    assert evaluation.path_length == pytest.approx(6)
    assert evaluation.rmse_percent == pytest.approx(100 * np.sqrt(2) / 6)


def test_only_poses_of_one_moment_are_compared() -> None:
    truth, every_second = walk(40), slice(0, None, 2)
    estimate = trajectory(truth)
    late = Trajectory(
        stamps=tuple(f"{float(stamp) + 0.008:.6f}" for stamp in estimate.stamps[every_second]),
        positions=truth[every_second],
        quaternions=estimate.quaternions[every_second],
    )
    assert len(compare(trajectory(truth), late, Comparison()).errors) == 20
    with pytest.raises(InputError, match=r"0 of 20 timestamps .* within 0.001 s"):
        compare(trajectory(truth), late, Comparison(max_difference_s=0.001))


def test_trajectories_of_two_days_do_not_match() -> None:
    with pytest.raises(InputError) as caught:
        compare(trajectory(walk(5), first_s=1000), trajectory(walk(5), first_s=2000), Comparison())
    assert "from 2000.000000 to 2000.400000, the ground truth's from 1000.000000 to 1000.400000" in str(
        caught.value
    )


def test_matches_are_counted_in_any_order() -> None:
    require_matches(np.array([3.0, 1.0, 2.0]), np.array([2.004, 1.0, 2.996, 9.0]), 0.005)
    with pytest.raises(InputError, match="2 of 4"):
        require_matches(np.array([3.0, 1.0, 2.0]), np.array([2.006, 1.0, 2.996, 9.0]), 0.005)


def test_a_straight_line_allows_no_alignment() -> None:
    line = np.outer(np.arange(6.0), [1, 0, 0])
    with pytest.raises(InputError, match=r"cannot be compared: .*[Dd]egenerate"):
        compare(trajectory(line), trajectory(line), Comparison())


def evo_ape(truth: Path, estimate: Path, folder: Path, *options: str) -> dict[str, float]:
    """What evo's own command line says."""
    results = folder / "results.zip"
    program = Path(sys.executable).with_name("evo_ape")
    subprocess.run(
        [program, "tum", truth, estimate, *options, "--save_results", results, "--no_warnings"],
        env={**os.environ, "HOME": str(folder), "MPLCONFIGDIR": str(folder)},
        check=True,
        capture_output=True,
    )
    with zipfile.ZipFile(results) as archive:
        stats: dict[str, float] = json.loads(archive.read("stats.json"))
    return stats


@pytest.mark.parametrize(("alignment", "options"), [("sim3", ["-as"]), ("se3", ["-a"]), ("none", [])])
def test_agrees_with_evo_ape_on_a_real_trajectory(
    shared_data: Path, tmp_path: Path, alignment: str, options: list[str]
) -> None:
    truth_file, estimate_file = shared_data / "tum_fr1_xyz_groundtruth.txt", tmp_path / "estimate.tum"
    truth = read_posefile(truth_file).trajectory
    # As if a camera at a third of the rate had seen it: later, noisy, in a world and a scale of its own.
    picked = slice(100, 2500, 3)
    noise = np.random.default_rng(5).normal(scale=0.001, size=truth.positions[picked].shape)
    estimate = Trajectory(
        stamps=tuple(f"{time + 0.002:.4f}" for time in truth.times[picked]),
        positions=(0.4 * truth.positions[picked] + noise) @ rotation_z(1.1) + [1, 2, 3],
        quaternions=truth.quaternions[picked],
    )
    write_trajectory(estimate_file, estimate)
    ours = compare(truth, read_posefile(estimate_file).trajectory, Comparison(alignment=alignment))
    evo = evo_ape(truth_file, estimate_file, tmp_path, *options)
    assert set(evo) == {"rmse", "mean", "median", "std", "min", "max", "sse"}
    for name, value in evo.items():
        assert ours.statistics[name] == pytest.approx(value, rel=1e-12), name
    if alignment == "sim3":
        # Noise of 0.001 in three axes, seen at 1 / 0.4 of its size.
        assert ours.statistics["rmse"] == pytest.approx(np.sqrt(3) * 0.0025, rel=0.05)
        assert ours.scale == pytest.approx(2.5, rel=0.01)
