import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from slam.arguments import changed_options
from slam.batch import finish, run_each
from slam.campaign import find_previous, find_runs
from slam.dataset.catalog import Staged
from slam.errors import InputError, MemoryShortError, OutputError, SeveralError
from slam.evaluate.benchmark import TUM, choose_sequences, lay_beside
from tests.campaign import others_long
from tests.payload.datasets import make_tum


def read_table(out: Path) -> list[dict[str, str]]:
    with (out / "table.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def staged(*names: str) -> list[Staged]:
    return [Staged(name=name, folder=Path("/data") / name) for name in names]


def succeed(folder: Path, error_m: float) -> None:
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"frames": 9, "frames_registered": 8}))
    (folder / "ate.json").write_text(json.dumps({"rmse": error_m, "pairs": 8}))


def test_one_that_fails_stops_no_other(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def work(one: Staged, out: Path) -> None:
        if one.name == "b":
            raise InputError("b: it is, of all things, broken")
        succeed(out, {"a": 0.5, "c/d": 0.25}[one.name])

    rows, errors = run_each(staged("a", "b", "c/d"), tmp_path, work)
    assert [error.exit_code for error in errors] == [4]
    with pytest.raises(SeveralError, match=r"^1 of 3 sequences failed or are missing: b; ") as caught:
        finish(rows, errors, tmp_path)
    assert caught.value.exit_code == 4
    table = read_table(tmp_path)
    assert [row["sequence"] for row in table] == ["a", "b", "c/d"]
    assert [row["ate_rmse"] for row in table] == ["0.5", "", "0.25"]
    assert [row["result"] for row in table] == ["ok", "b: it is, of all things, broken", "ok"]
    assert json.loads((tmp_path / "table.json").read_text())["rows"][2]["placed"] == 8
    printed = capsys.readouterr().out.splitlines()
    assert "failed     b: b: it is, of all things, broken" in printed
    mean = next(line for line in printed if line.startswith("mean of 2"))
    assert mean.split()[-2:] == ["0.3750", "-"]


def test_failures_of_two_kinds_have_the_common_code(tmp_path: Path) -> None:
    def work(one: Staged, _: Path) -> None:
        raise MemoryShortError("too little") if one.name == "a" else PermissionError(13, "denied", "/x")

    rows, errors = run_each(staged("a", "b"), tmp_path, work)
    with pytest.raises(SeveralError, match="2 of 2 sequences failed") as caught:
        finish(rows, errors, tmp_path)
    assert caught.value.exit_code == 1
    assert read_table(tmp_path)[1]["result"] == "/x: denied"


def test_what_was_done_before_a_stop_is_in_the_table(tmp_path: Path) -> None:
    def work(one: Staged, out: Path) -> None:
        if one.name == "b":
            raise KeyboardInterrupt
        succeed(out, 0.5)

    with pytest.raises(KeyboardInterrupt):
        run_each(staged("a", "b"), tmp_path, work)
    assert [row["sequence"] for row in read_table(tmp_path)] == ["a"]


def test_nothing_is_begun_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError):
        run_each(staged("a"), tmp_path / "out", lambda *_: pytest.fail("it was begun"))


def test_runs_are_found_and_have_names_of_their_own(tmp_path: Path) -> None:
    for place in ("r1/out", "r2/out", "r3/out/x", "r3/out/y"):
        (tmp_path / place).mkdir(parents=True)
        (tmp_path / place / "trajectory.tum").write_text("")
    assert [run.name for run in find_runs([tmp_path / "r3"])] == ["x", "y"]
    found = find_runs([tmp_path / "r1" / "out", tmp_path / "r2", tmp_path / "r1"])
    assert [run.name for run in found] == ["r1/out", "r2/out"]
    with pytest.raises(InputError, match="there is no such folder"):
        find_runs([tmp_path / "r4"])
    (tmp_path / "r5").mkdir()
    with pytest.raises(InputError, match=r"r5: no trajectory.tum in it"):
        find_runs([tmp_path / "r5"])


def test_the_papers_figures_are_beside_ours() -> None:
    rows = [
        {"sequence": f"rgbd_dataset_{name}", "ate_rmse": 2 * value} for name, value in TUM.figures.items()
    ]
    beside = lay_beside(TUM, rows)
    assert [row["sequence"] for row in beside] == [*TUM.figures, "mean"]
    assert all(row["difference"] == pytest.approx(row["published"]) for row in beside[:-1])
    assert beside[-1]["ours"] == pytest.approx(2 * sum(TUM.figures.values()) / 9)
    # Their own mean is that of their figures, to the digits that they give.
    assert TUM.mean == pytest.approx(sum(TUM.figures.values()) / 9, abs=5e-4)
    part = lay_beside(TUM, rows[1:])
    assert part[0]["ours"] is None
    assert part[-1]["ours"] is None


def test_the_benchmarks_sequences_are_chosen_and_the_missing_told() -> None:
    there = staged("rgbd_dataset_freiburg1_xyz", "rgbd_dataset_freiburg2_xyz", "fr1/desk2")
    found, missing = choose_sequences(TUM, there)
    assert [one.name for one in found] == ["fr1/desk2", "rgbd_dataset_freiburg1_xyz"]
    assert missing == tuple(name for name in TUM.figures if name not in ("freiburg1_desk2", "freiburg1_xyz"))
    with pytest.raises(InputError, match="none of the benchmark's sequences is there: freiburg1_360"):
        choose_sequences(TUM, there[1:2])
    with pytest.raises(InputError, match="freiburg1_xyz may be a/fr1_xyz, b/fr1_xyz; name one of them"):
        choose_sequences(TUM, staged("a/fr1_xyz", "b/fr1_xyz"))


def test_options_that_make_another_benchmark() -> None:
    assert changed_options({"engine": "droid", "stride": None, "t0": 0, "max_frames": None}) == ()
    assert changed_options({"engine": "colmap", "stride": 1, "t0": 4, "depth": True}) == (
        "--engine",
        "--stride",
        "--t0",
        "--depth",
    )


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """Two runs of a dataset with ground truth, with 10 and 20 mm of noise."""
    rng = np.random.default_rng(0)
    way = np.cumsum(rng.normal(size=(60, 3)), axis=0)
    for name, noise_m in (("freiburg1_desk", 0.01), ("freiburg1_xyz", 0.02)):
        folder = make_tum(tmp_path / "data" / "tum" / f"rgbd_dataset_{name}", count=1, size=(64, 48))
        write(folder / "groundtruth.txt", way)
        write(
            tmp_path / "runs" / name / "trajectory.tum",
            3 * way + rng.normal(scale=3 * noise_m, size=way.shape),
        )
        summary = {"dataset": f"rgbd_dataset_{name}", "arguments": {"dataset": "tum", "engine": "droid"}}
        (tmp_path / "runs" / name / "summary.json").write_text(json.dumps(summary))
    return tmp_path


def write(path: Path, positions: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (f"{place / 10:.6f} {x} {y} {z} 0 0 0 1" for place, (x, y, z) in enumerate(positions))
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.long
def test_runs_of_one_truth_are_drawn_together(slam, runs: Path, tmp_path: Path) -> None:
    out, other = tmp_path / "out", tmp_path / "better" / "freiburg1_desk"
    other.parent.mkdir()
    shutil.copytree(runs / "runs" / "freiburg1_desk", other)
    out.mkdir()
    (out / "runs-9-gone.png").write_text("of an earlier evaluation")
    done = slam(
        *("--task", "evaluate", "--runs", runs / "runs", other, "--data-root", runs / "data"),
        *("--out", out, "--figure-format", "svg"),
    )
    assert (done.returncode, done.stderr) == (0, "")
    # The third run has another truth.
    drawn = sorted(path.name for path in out.glob("runs-*"))
    assert drawn == ["runs-1-rgbd_dataset_freiburg1_desk.png", "runs-1-rgbd_dataset_freiburg1_desk.svg"]
    words = (out / drawn[1]).read_text()
    assert "better/freiburg1_desk: rmse 0.0" in words
    assert "runs/freiburg1_desk: rmse 0.0" in words
    assert "freiburg1_xyz" not in words
    assert (out / "better" / "freiburg1_desk" / "trajectory.svg").is_file()


def test_evaluates_many_runs(slam, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = slam("--task", "evaluate", "--runs", runs / "runs", "--data-root", runs / "data", "--out", out)
    assert (done.returncode, done.stderr) == (0, "")
    table = read_table(out)
    assert [row["sequence"] for row in table] == ["freiburg1_desk", "freiburg1_xyz"]
    for row, noise_m in zip(table, (0.01, 0.02), strict=True):
        assert float(row["ate_rmse"]) == pytest.approx(np.sqrt(3) * noise_m, rel=0.15)
        # Both ends of a step have it.
        assert float(row["rpe_trans_rmse"]) == pytest.approx(np.sqrt(6) * noise_m, rel=0.15)
        assert float(row["scale"]) == pytest.approx(1 / 3, rel=0.01)
        folder = out / row["sequence"]
        assert sorted(path.name for path in folder.iterdir()) == [
            "ate.json",
            "errors.csv",
            "rpe.json",
            "trajectory.png",
        ]
    assert "mean of 2" in done.stdout


@pytest.mark.long
def test_lays_runs_beside_the_benchmark(slam, runs: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = slam(
        "--task", "evaluate", "--benchmark", "tum", "--runs", runs / "runs", "--data-root", runs / "data",
        "--out", out,
    )  # fmt: skip
    assert done.returncode == 4
    assert done.stderr.startswith("slam: 7 of 9 sequences failed or are missing: freiburg1_360, ")
    beside = json.loads((out / "benchmark.json").read_text())
    row = next(row for row in beside["rows"] if row["sequence"] == "freiburg1_xyz")
    assert row["published"] == 0.012
    assert row["ours"] == pytest.approx(np.sqrt(3) * 0.02, rel=0.15)
    assert "table 4" in beside["source"]
    assert beside["changed_options"] == []


def change_summary(run: Path, **changes: object) -> None:
    path = run / "summary.json"
    summary = json.loads(path.read_text())
    arguments = {**summary["arguments"], **changes.pop("arguments", {})}
    path.write_text(json.dumps({**summary, **changes, "arguments": arguments}))


def test_a_benchmark_names_the_options_of_the_engine_too(slam, runs: Path, tmp_path: Path) -> None:
    """Of a run that has the name of a job and not of its sequence."""
    settings = {**TUM.settings, "warmup": 8, "random_weights": True, "pth": True}
    run = runs / "runs" / "freiburg1_xyz"
    change_summary(
        run, dataset="xyz", source="tum/fr1/xyz", engine_settings=settings, arguments={"depth": True}
    )
    shutil.move(run, runs / "runs" / "20261121-a1")
    out = tmp_path / "out"
    done = slam(
        "--task", "evaluate", "--benchmark", "tum", "--runs", runs / "runs" / "20261121-a1", "--out", out,
        "--data-root", runs / "data",
    )  # fmt: skip
    assert "options differ from the benchmark's settings: --depth, --warmup, --random-weights" in done.stdout
    row = json.loads((out / "benchmark.json").read_text())["rows"][8]
    assert (row["sequence"], row["published"]) == ("freiburg1_xyz", 0.012)
    # The published errors are after sim3, whatever the run was.
    assert row["ours"] == pytest.approx(np.sqrt(3) * 0.02, rel=0.15)


@pytest.mark.long
def test_a_run_with_depth_keeps_its_scale(slam, runs: Path, tmp_path: Path) -> None:
    """As when it was inferred; the estimate is three times as large as the truth."""
    change_summary(runs / "runs" / "freiburg1_xyz", arguments={"depth": True})
    arguments = ("--task", "evaluate", "--runs", runs / "runs", "--data-root", runs / "data")
    done = slam(*arguments, "--out", tmp_path / "a")
    assert (done.returncode, done.stderr) == (0, "")
    desk, xyz = read_table(tmp_path / "a")
    assert (desk["alignment"], xyz["alignment"], xyz["scale"]) == ("sim3", "se3", "1.0")
    assert float(xyz["ate_rmse"]) > 1
    assert slam(*arguments, "--align", "sim3", "--out", tmp_path / "b").returncode == 0
    assert {row["alignment"] for row in read_table(tmp_path / "b")} == {"sim3"}


@pytest.mark.parametrize("options", others_long([(), ("--dataset", "air")], ("--dataset", "air")))
@pytest.mark.parametrize("asked", others_long(["air", None], "air"))
def test_a_run_of_a_sequence_whose_last_name_is_that_of_many(
    slam, runs: Path, tmp_path: Path, options: tuple[str, ...], asked: str | None
) -> None:
    """TartanAir's are all called P000 and so on. A benchmark's runs need not have had a --dataset."""
    source = runs / "data" / "tum" / "rgbd_dataset_freiburg1_desk"
    for level in ("Easy", "Hard"):
        make_tum(runs / "data" / "air" / "mine" / level / "P000", count=1, size=(64, 48))
        write(runs / "data" / "air" / "mine" / level / "P000" / "groundtruth.txt", np.zeros((60, 3)))
    shutil.copy(source / "groundtruth.txt", runs / "data" / "air" / "mine" / "Hard" / "P000")
    run = runs / "20261121-a1"
    shutil.copytree(runs / "runs" / "freiburg1_desk", run)
    change_summary(run, dataset="P000", source="air/mine/Hard/P000", arguments={"dataset": asked})
    out = tmp_path / "out"
    done = slam("--task", "evaluate", "--runs", run, "--data-root", runs / "data", "--out", out, *options)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((out / "ate.json").read_text())["rmse"] == pytest.approx(np.sqrt(3) * 0.01, rel=0.15)


def test_evaluates_one_run_against_a_file(slam, runs: Path, tmp_path: Path) -> None:
    run, out = runs / "runs" / "freiburg1_xyz", tmp_path / "out"
    truth = runs / "data" / "tum" / "rgbd_dataset_freiburg1_xyz" / "groundtruth.txt"
    done = slam(
        "--task", "evaluate", "--runs", run, "--groundtruth", truth, "--align", "origin",
        "--rpe-delta", "1.5", "--rpe-unit", "seconds", "--out", out,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    rpe = json.loads((out / "rpe.json").read_text())
    assert (rpe["delta"], rpe["unit"], rpe["pairs"], rpe["alignment"]) == (1.5, "seconds", 3, "origin")
    assert "over 1.5 seconds, 3 pairs" in done.stdout


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda runs: (runs / "runs" / "freiburg1_xyz" / "summary.json").unlink(),
            "is not known; name it with --dataset",
        ),
        (
            lambda runs: (
                shutil.move(runs / "runs" / "freiburg1_xyz", runs / "runs" / "kitchen")
                and (runs / "runs" / "kitchen" / "summary.json").write_text(
                    '{"arguments": {"dataset": "tum"}}'
                )
            ),
            "none of the 2 sequences of tum in",
        ),
        (
            lambda runs: (runs / "data" / "tum" / "rgbd_dataset_freiburg1_xyz" / "groundtruth.txt").unlink(),
            "groundtruth.txt: there is no such trajectory file",
        ),
    ],
)
def test_a_run_without_its_truth_is_told(slam, runs: Path, tmp_path: Path, spoil, message: str) -> None:
    spoil(runs)
    out = tmp_path / "out"
    done = slam("--task", "evaluate", "--runs", runs / "runs", "--data-root", runs / "data", "--out", out)
    assert done.returncode == 4
    assert done.stderr.startswith("slam: 1 of 2 sequences failed or are missing: ")
    assert message in done.stdout
    assert sorted(row["result"] == "ok" for row in read_table(out)) == [False, True]


def test_infers_every_sequence_that_is_staged(slam, scene: Path, tmp_path: Path) -> None:
    root, out = tmp_path / "data", tmp_path / "out"
    shutil.copytree(scene, root / "tum" / "rgbd_dataset_freiburg1_room")
    shutil.copytree(scene, root / "tum" / "rgbd_dataset_freiburg1_xyz")
    (root / "tum" / "rgbd_dataset_freiburg1_room" / "rgb.txt").unlink()
    arguments = ("--task", "infer", "--data-root", root, "--dataset", "tum", "--out", out)
    done = slam(*arguments)
    assert done.returncode == 4
    assert done.stderr == (
        "slam: 1 of 2 sequences failed or are missing: rgbd_dataset_freiburg1_room; why stands above and in "
        f"{out}/table.csv, and the others' results are in {out}\n"
    )
    room, xyz = read_table(out)
    assert "rgb.txt is missing" in room["result"]
    assert (xyz["result"], xyz["placed"]) == ("ok", "8")
    names = {path.name for path in (out / "rgbd_dataset_freiburg1_xyz").iterdir()}
    assert {"trajectory.tum", "cloud.ply", "ate.json", "summary.json"} <= names
    alone = slam(*arguments[:-1], tmp_path / "alone", "--sequence", "fr1/xyz", "--t0", 2)
    assert (alone.returncode, alone.stderr) == (0, "")
    assert json.loads((tmp_path / "alone" / "summary.json").read_text())["frames"] == 6


def test_what_the_last_attempt_has_finished_is_not_done_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def stopped(one: Staged, out: Path) -> None:
        if one.name == "a":
            raise InputError("a: once more")
        if one.name == "d":
            raise KeyboardInterrupt
        succeed(out, 0.5)

    first, second = tmp_path / "attempt-1", tmp_path / "attempt-2"
    names = ("a", "b", "c/c", "d")
    with pytest.raises(KeyboardInterrupt):
        run_each(staged(*names), first, stopped)
    # Written, but not finished.
    succeed(first / "d", 9.0)
    worked: list[str] = []

    def work(one: Staged, out: Path) -> None:
        worked.append(one.name)
        succeed(out, 0.25)
        # Whatever ends it now, what was finished before is kept for the next one.
        assert {"b", "c/c"} <= {row["sequence"] for row in read_table(second)}

    rows, errors = run_each(staged(*names), second, work, previous=first)
    assert (worked, errors) == (["a", "d"], [])
    assert [(row["sequence"], row["ate_rmse"], row["result"]) for row in rows] == [
        ("a", 0.25, "ok"), ("b", 0.5, "ok"), ("c/c", 0.5, "ok"), ("d", 0.25, "ok")
    ]  # fmt: skip
    assert read_table(second)[2]["sequence"] == "c/c"
    assert (second / "c/c" / "summary.json").is_file()
    assert [path.name for path in second.rglob(".slam-part-*")] == []
    assert "[2/4] b: the last attempt has done it" in capsys.readouterr().out


@pytest.mark.parametrize("content", [None, "{", "[]", '{"rows": 3}', '{"rows": [{"sequence": "a"}, 4]}'])
def test_a_last_attempt_without_a_table_is_none(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "table.json").write_text(content)
    rows, _ = run_each(staged("a"), tmp_path / "out", lambda _, out: succeed(out, 1.0), previous=tmp_path)
    assert rows[0]["ate_rmse"] == 1.0


def test_where_the_last_attempt_had_its_results(tmp_path: Path) -> None:
    job = {"SLIPWAY_OUT": "/out", "SLIPWAY_PREVIOUS": "/previous"}
    assert find_previous(Path("/out"), job) == Path("/previous")
    assert find_previous(Path("/out/tum"), job) == Path("/previous/tum")
    assert find_previous(Path("/elsewhere"), job) is None
    assert find_previous(Path("/out"), {"SLIPWAY_OUT": "/out"}) is None
