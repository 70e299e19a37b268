"""What infer does about a ground truth that does not fit."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice, Sequence
from slam.errors import InputError
from slam.evaluate.absolute import Comparison
from slam.evaluate.relative import Step
from slam.task.truth import find_truth
from slam.trajectory import Trajectory
from tests.payload.datasets import make_euroc, make_plain

WAY = np.cumsum(np.random.default_rng(1).normal(size=(4, 3)), axis=0)


@pytest.fixture
def sequence(tmp_path: Path) -> Sequence:
    """Four images, at 0 to 3, with a truth for each."""
    folder = make_plain(tmp_path / "own", "500 505 330 250", count=4)
    write_truth(folder, [0, 1, 2, 3])
    return open_sequence(folder, Choice(as_taken=True))


def write_truth(folder: Path, times: list[float], extra: str = "") -> None:
    rows = "".join(f"{time} {x} {y} {z} 0 0 0 1\n" for time, (x, y, z) in zip(times, WAY, strict=True))
    (folder / "groundtruth.txt").write_text(rows + extra)


def estimate(sequence: Sequence) -> Trajectory:
    stamps = sequence.stamps
    return Trajectory(stamps=stamps, positions=2 * WAY + 1, quaternions=np.tile([0.0, 0, 0, 1], (4, 1)))


def folder_of(sequence: Sequence) -> Path:
    assert sequence.groundtruth is not None
    return sequence.groundtruth.parent


def test_one_that_fits_is_compared(sequence: Sequence) -> None:
    evaluation, drift, truth = find_truth(sequence, Comparison()).compare(estimate(sequence), Step())
    assert evaluation is not None
    assert evaluation.statistics["rmse"] < 1e-9
    assert evaluation.scale == pytest.approx(0.5)
    assert drift is not None
    assert truth.summarize() == {"file": str(sequence.groundtruth), "compared": True}


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda folder: write_truth(folder, [100, 101, 102, 103]), "0 of 4 timestamps"),
        (lambda folder: write_truth(folder, [0, 1, 2, 3], "4 0 0\n"), "groundtruth.txt:5: 3 numbers"),
        (lambda folder: (folder / "groundtruth.txt").write_text("nan 0 0 0 0 0 0 1\n"), "no row in it has"),
        (lambda folder: (folder / "groundtruth.txt").write_text(""), "no pose in it"),
        (lambda folder: (folder / "groundtruth.txt").write_bytes(b"\0\1\2"), "zero bytes"),
    ],
)
def test_one_that_does_not_fit_forbids_nothing(
    sequence: Sequence, spoil: Callable[[Path], None], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    spoil(folder_of(sequence))
    truth = find_truth(sequence, Comparison())
    truth.tell()
    assert f"warning    the errors will be left out: {truth.reason}" in capsys.readouterr().out
    evaluation, drift, truth = truth.compare(estimate(sequence), Step())
    assert (evaluation, drift, truth.trajectory) == (None, None, None)
    summary = truth.summarize()
    assert summary["compared"] is False
    assert reason in str(summary["reason"])
    truth.finish()
    with pytest.raises(InputError, match="leave --require-groundtruth out"):
        find_truth(sequence, Comparison(is_required=True))


def test_one_that_allows_no_alignment_shows_at_the_end(sequence: Sequence) -> None:
    (folder_of(sequence) / "groundtruth.txt").write_text("".join(f"{t} {t} 0 0 0 0 0 1\n" for t in range(4)))
    evaluation, _, truth = find_truth(sequence, Comparison(is_required=True)).compare(
        estimate(sequence), Step()
    )
    assert evaluation is None
    assert "cannot be compared" in str(truth.reason)
    with pytest.raises(InputError, match="cannot be compared"):
        truth.finish()


def test_none_at_all_is_no_warning_unless_it_is_required(
    sequence: Sequence, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = replace(sequence, groundtruth=None)
    truth = find_truth(bare, Comparison())
    truth.tell()
    assert capsys.readouterr().out == ""
    assert truth.summarize() == {"file": None, "compared": False, "reason": "no ground truth"}
    with pytest.raises(InputError, match="no ground truth; leave --require-groundtruth out"):
        find_truth(bare, Comparison(is_required=True))


def test_a_double_row_is_noted_and_strict_leaves_the_error_out(sequence: Sequence) -> None:
    write_truth(folder_of(sequence), [0, 1, 2, 3], "3 9 9 9 0 0 0 1\n")
    evaluation, _, truth = find_truth(sequence, Comparison()).compare(estimate(sequence), Step())
    assert evaluation is not None
    assert evaluation.statistics["rmse"] < 1e-9
    assert "1 of 5 rows have a timestamp that was there before" in str(truth.summarize()["notes"])
    assert "1 of 5 rows" in str(find_truth(sequence, Comparison(is_strict=True)).reason)


def test_the_kept_truth_is_on_the_estimates_clock(sequence: Sequence) -> None:
    write_truth(folder_of(sequence), [1000.5, 1001.5, 1002.5, 1003.5])
    evaluation, _, truth = find_truth(sequence, Comparison(time_offset_s=1000.5)).compare(
        estimate(sequence), Step()
    )
    assert evaluation is not None
    assert evaluation.statistics["rmse"] < 1e-9
    assert truth.trajectory is not None
    assert truth.trajectory.stamps == ("0.0", "1.0", "2.0", "3.0")


@pytest.mark.parametrize(("as_taken", "frame"), [(False, "camera"), (True, "raw-camera")])
def test_eurocs_truth_is_turned_to_the_camera_that_is_inferred(
    tmp_path: Path, as_taken: bool, frame: str
) -> None:
    folder = make_euroc(tmp_path / "MH_01_easy")
    images = sorted((folder / "mav0" / "cam0" / "data").iterdir())
    path = folder / "mav0" / "state_groundtruth_estimate0" / "data.csv"
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{image.stem},1,2,3,1,0,0,0\n" for image in images))
    found = open_sequence(folder, Choice(as_taken=as_taken, stride=1))
    assert found.frame == frame
    truth = find_truth(found, Comparison())
    assert truth.pair is not None
    assert truth.pair.truth.frame == frame
    # mav0/cam0/sensor.yaml's T_BS, by hand.
    np.testing.assert_allclose(
        truth.pair.truth.positions[0], [1 - 0.0216401454975, 2 - 0.064676986768, 3 + 0.00981073058949]
    )


def test_how_another_camera_sits_in_the_body_is_not_made_up(tmp_path: Path) -> None:
    """EuRoC's layout without a sensor.yaml: the published T_BS is that of EuRoC's own camera."""
    folder = tmp_path / "rig"
    make_plain(folder, "300 300 160 120", count=4, size=(320, 240))
    data = folder / "mav0" / "cam0" / "data"
    data.parent.mkdir(parents=True)
    (folder / "images").rename(data)
    for place, image in enumerate(sorted(data.iterdir())):
        image.rename(data / f"{10**18 + place * 10**9}.png")
    path = folder / "mav0" / "mocap0" / "data.csv"
    path.parent.mkdir()
    path.write_text("".join(f"{image.stem},1,2,3,1,0,0,0\n" for image in sorted(data.iterdir())))
    found = open_sequence(folder, Choice(as_taken=True))
    assert (found.groundtruth, found.frame) == (path, None)
    assert "how this camera sits in the body is not known" in found.notes[-1]
    truth = find_truth(found, Comparison())
    assert truth.pair is not None
    assert truth.pair.truth.frame == "body"
    np.testing.assert_array_equal(truth.pair.truth.positions[0], [1, 2, 3])


def test_places_are_no_seconds(tmp_path: Path) -> None:
    folder = make_plain(tmp_path / "walk", "300 300 160 120", count=4, size=(320, 240))
    (folder / "groundtruth.txt").write_text("".join(f"{0.5 * n} {n * n} 0 0 0 0 0 1\n" for n in range(9)))
    truth = find_truth(open_sequence(folder, Choice(as_taken=True)), Comparison())
    assert truth.reason is not None
    assert "has times, from 0" in truth.reason
    assert "the images of walk only have places, from 0" in truth.reason


@pytest.mark.long
def test_a_run_with_the_truth_of_another_day(slam, scene: Path, tmp_path: Path) -> None:
    """From a whole path outside of the data root."""
    shutil.copytree(scene, tmp_path / "elsewhere" / "room")
    truth = tmp_path / "elsewhere" / "room" / "groundtruth.txt"
    rows = np.loadtxt(truth)
    rows[:, 0] += 86400
    np.savetxt(truth, rows)
    done = slam(
        "--task", "infer", "--data-root", tmp_path, "--dataset", tmp_path / "elsewhere" / "room",
        SLIPWAY_OUT=str(tmp_path / "out"),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert "warning    the errors will be left out: 0 of 8 timestamps" in done.stdout
    assert "no ATE: 0 of 8 timestamps" in done.stdout
    names = [path.name for path in (tmp_path / "out").iterdir()]
    assert {"trajectory.tum", "trajectory.png"} <= set(names)
    assert not {"ate.json", "rpe.json", "groundtruth.tum"} & set(names)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["ground_truth"]["compared"] is False
    assert "begin 86400.000000 s apart" in summary["ground_truth"]["reason"]
    assert summary["source"] == "elsewhere/room"


@pytest.mark.parametrize("inside", [True, False])
def test_a_dataset_may_be_named_by_its_whole_path(slam, photos: Path, tmp_path: Path, inside: bool) -> None:
    (photos / "a.jpg").write_bytes(b"cut")
    root = photos.parent if inside else tmp_path / "none"
    done = slam("--task", "infer", "--data-root", root, "--dataset", photos, "--out", tmp_path / "out")
    assert (done.returncode, "Traceback" in done.stderr) == (4, False)
    assert f"{photos}/a.jpg: not a readable image" in done.stderr
    done = slam("--task", "infer", "--data-root", root, "--dataset", "/", "--out", tmp_path / "out")
    assert done.returncode == 2
