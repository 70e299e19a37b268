"""Our figures against those of evo's own programs on its test files (EVO_SOURCE, a checkout)."""

import json
import os
from pathlib import Path

import numpy as np
import pytest

from slam.errors import InputError
from slam.evaluate.absolute import Comparison
from slam.evaluate.relative import Step
from slam.output.figure.style import Drawing
from slam.task.evaluate import evaluate
from tests.payload.evo_app import ALIGNMENTS, Figures, evo_figures, run_evo

DATA = Path(os.environ.get("EVO_SOURCE", "")) / "test" / "data"
pytestmark = pytest.mark.skipif(
    not os.environ.get("EVO_SOURCE"), reason="EVO_SOURCE names no checkout of evo"
)

PAIRS = [
    ("tum", "freiburg1_xyz-groundtruth.txt", "freiburg1_xyz-rgbdslam.txt"),
    ("tum", "freiburg1_xyz-groundtruth.txt", "freiburg1_xyz-rgbdslam_drift.txt"),
    ("tum", "freiburg1_xyz-groundtruth.txt", "freiburg1_xyz-rgbdslam_drift_short.txt"),
    ("tum", "freiburg1_xyz-groundtruth.txt", "freiburg1_xyz-ORB_kf_mono.txt"),
    ("tum", "fr2_desk_groundtruth.txt", "fr2_desk_ORB.txt"),
    ("tum", "fr2_desk_groundtruth.txt", "fr2_desk_ORB_kf_mono.txt"),
    ("tum", "georeferenced.tum", "georeferenced.tum"),
    ("kitti", "KITTI_00_gt.txt", "KITTI_00_ORB.txt"),
    ("kitti", "KITTI_00_gt.txt", "KITTI_00_SPTAM.txt"),
    ("euroc", "V102_groundtruth.csv", "V102.txt"),
]


def our_figures(
    truth: Path, estimate: Path, out: Path, comparison: Comparison, step: Step | None = None
) -> tuple[dict[str, object], dict[str, object]]:
    """What is in ``ate.json`` and ``rpe.json``; with double rows, where evo takes these, too."""
    out.mkdir(exist_ok=True)
    evaluate(estimate, truth, comparison, step or Step(), Drawing(), out=out)
    ate, rpe = (json.loads((out / name).read_text()) for name in ("ate.json", "rpe.json"))
    return ate.get("as_it_stands", ate), rpe.get("as_it_stands", rpe)


def check(ours: object, evo: Figures) -> None:
    assert isinstance(ours, dict)
    for name, value in evo.items():
        assert ours[name] == pytest.approx(value, rel=1e-6, abs=1e-6), name


@pytest.mark.parametrize("alignment", ALIGNMENTS)
@pytest.mark.parametrize(("kind", "truth", "estimate"), PAIRS)
def test_evos_files(kind: str, truth: str, estimate: str, alignment: str, tmp_path: Path) -> None:
    absolute, lengths, angles = evo_figures(
        tmp_path, kind, DATA / truth, DATA / estimate, alignment=alignment
    )
    ate, rpe = our_figures(DATA / truth, DATA / estimate, tmp_path / "out", Comparison(alignment=alignment))
    check(ate, absolute)
    check(rpe["translation"], lengths)
    check(rpe["rotation_deg"], angles)


def test_rows_that_are_double_are_told_and_can_be_left_out(tmp_path: Path) -> None:
    """V102.txt has four: evo compares them all, and ours is its figure for the file without them."""
    seen: dict[str, str] = {}
    for line in (DATA / "V102.txt").read_text().splitlines(keepends=True):
        seen.setdefault(line.split()[0], line)
    (tmp_path / "first.txt").write_text("".join(seen.values()))
    absolute, lengths, angles = evo_figures(
        tmp_path, "euroc", DATA / "V102_groundtruth.csv", tmp_path / "first.txt"
    )
    evaluate(DATA / "V102.txt", DATA / "V102_groundtruth.csv", Comparison(), Step(), Drawing(), out=tmp_path)
    ate, rpe = (json.loads((tmp_path / name).read_text()) for name in ("ate.json", "rpe.json"))
    check(ate, absolute)
    check(rpe["translation"], lengths)
    check(rpe["rotation_deg"], angles)
    assert "4 of 807 rows have a timestamp that was there before" in ate["notes"][0]
    assert angles["rmse"] == pytest.approx(0.2589, abs=1e-4)
    with pytest.raises(InputError, match="4 of 807 rows"):
        evaluate(
            DATA / "V102.txt",
            DATA / "V102_groundtruth.csv",
            Comparison(is_strict=True),
            Step(),
            Drawing(),
            out=tmp_path,
        )


def test_the_wrong_frame_is_warned_of(tmp_path: Path) -> None:
    comparison = Comparison(frame="camera")
    evaluate(DATA / "V102.txt", DATA / "V102_groundtruth.csv", comparison, Step(), Drawing(), out=tmp_path)
    rpe = json.loads((tmp_path / "rpe.json").read_text())
    assert rpe["rotation_deg"]["rmse"] == pytest.approx(4.76, abs=0.01)
    assert "turned by 89.1 degrees" in rpe["warning"]
    assert "try --frame body" in rpe["warning"]


def test_an_offset_of_the_clocks(tmp_path: Path) -> None:
    truth, estimate = DATA / "fr2_desk_groundtruth.txt", DATA / "fr2_desk_ORB.txt"
    for offset in (-1.2, 0.75):
        absolute, lengths, angles = evo_figures(
            tmp_path, "tum", truth, estimate, "--t_offset", str(offset), alignment="se3"
        )
        comparison = Comparison(alignment="se3", time_offset_s=offset)
        ate, rpe = our_figures(truth, estimate, tmp_path / "out", comparison)
        check(ate, absolute)
        check(rpe["translation"], lengths)
        check(rpe["rotation_deg"], angles)


@pytest.mark.parametrize("delta", [5, 50])
def test_longer_steps_of_matrices_that_are_rounded(tmp_path: Path, delta: int) -> None:
    truth, estimate = DATA / "KITTI_00_gt.txt", DATA / "KITTI_00_ORB.txt"
    words = ("kitti", truth, estimate, "-as", "--delta", str(delta), "--delta_unit", "m")
    lengths, angles = run_evo(tmp_path, ("rpe", *words), ("rpe", *words, "-r", "angle_deg"))
    _, rpe = our_figures(truth, estimate, tmp_path / "out", Comparison(), Step(delta=delta, unit="meters"))
    check(rpe["translation"], lengths)
    check(rpe["rotation_deg"], angles)


@pytest.mark.parametrize(
    ("kind", "name", "truth", "estimate"),
    [
        ("bag", "ROS_example.bag", "groundtruth", "S-PTAM"),
        ("bag", "ROS_example.bag", "groundtruth", "ORB-SLAM"),
        ("mcap", "nav2_turtlebot.mcap", "/odom", "/amcl_pose"),
    ],
)
def test_topics_of_a_bag(kind: str, name: str, truth: str, estimate: str, tmp_path: Path) -> None:
    words = (kind, DATA / name, truth, estimate, "-a")
    absolute, lengths = run_evo(tmp_path, ("ape", *words), ("rpe", *words))
    comparison = Comparison(alignment="se3", truth_topic=truth, estimate_topic=estimate)
    ate, rpe = our_figures(DATA / name, DATA / name, tmp_path / "out", comparison)
    check(ate, absolute)
    check(rpe["translation"], lengths)


@pytest.mark.parametrize("alignment", ALIGNMENTS)
def test_a_place_on_the_globe(tmp_path: Path, alignment: str) -> None:
    """Coordinates of millions of metres, beside an estimate that is half a metre off."""
    truth, estimate = DATA / "georeferenced.tum", tmp_path / "estimate.tum"
    rows = np.loadtxt(truth)
    rows[:, 1:4] += np.random.default_rng(0).normal(scale=0.3, size=(len(rows), 3))
    np.savetxt(estimate, rows)
    absolute, lengths, angles = evo_figures(tmp_path, "tum", truth, estimate, alignment=alignment)
    ate, rpe = our_figures(truth, estimate, tmp_path / "out", Comparison(alignment=alignment))
    check(ate, absolute)
    check(rpe["translation"], lengths)
    check(rpe["rotation_deg"], angles)
