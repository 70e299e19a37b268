"""`--task lengths`: how many images a sequence has, in each layout, and how many seconds."""

import json
import shutil
from pathlib import Path

import pytest

from slam.command import main
from tests.payload.datasets import make_eth3d, make_euroc, make_kitti, make_plain, make_tartanair


def run(root: Path, dataset: str, *more: str) -> int:
    return main(["--task", "lengths", "--data-root", str(root), "--dataset", dataset, *more])


def measured(capsys: pytest.CaptureFixture[str]) -> dict[str, dict[str, float | None]]:
    (line,) = [one for one in capsys.readouterr().out.splitlines() if one.startswith("lengths ")]
    found: dict[str, dict[str, float | None]] = json.loads(line.removeprefix("lengths "))
    return found


def shorten(scene: Path, folder: Path, frames: int) -> None:
    """A copy with so many frames."""
    shutil.copytree(scene, folder)
    lines = (folder / "rgb.txt").read_text().splitlines(keepends=True)
    (folder / "rgb.txt").write_text("".join(lines[: 1 + frames]))


def test_images_and_seconds_of_each_sequence(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, frames in (("one", 4), ("two", 7)):
        shorten(scene, tmp_path / "lab" / name, frames)
    assert run(tmp_path, "lab", "--out", str(tmp_path)) == 0
    found = measured(capsys)
    assert {name: row["frames"] for name, row in found.items()} == {"one": 4, "two": 7}
    stamps = [
        float(line.split()[0])
        for line in (tmp_path / "lab/two/rgb.txt").read_text().splitlines()
        if line[0] != "#"
    ]
    assert found["two"]["seconds"] == pytest.approx(stamps[-1] - stamps[0], abs=0.002)
    assert json.loads((tmp_path / "lengths.json").read_text()) == found
    # A sequence's folder alone is one, too.
    assert run(tmp_path, "lab", "--sequence", "two") == 0
    assert [*measured(capsys)] == ["two"]
    assert run(tmp_path / "lab", "one") == 0
    assert [*measured(capsys)] == ["one"]


def test_layouts_without_a_clock_have_no_seconds(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_plain(tmp_path / "all" / "plain", "100 100 80 60")
    make_tartanair(tmp_path / "all" / "tartanair")
    make_kitti(tmp_path / "all" / "kitti")
    make_euroc(tmp_path / "all" / "euroc")
    make_eth3d(tmp_path / "all" / "eth3d")
    assert run(tmp_path, "all") == 0
    found = measured(capsys)
    assert sorted(found) == ["eth3d", "euroc", "kitti", "plain", "tartanair"]
    assert all(row["frames"] for row in found.values())
    assert {name for name, row in found.items() if row["seconds"] is None} == {"plain", "tartanair"}


def test_one_that_cannot_be_read_stops_no_other(
    scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shorten(scene, tmp_path / "lab" / "good", 4)
    shutil.copytree(tmp_path / "lab" / "good", tmp_path / "lab" / "bad")
    (tmp_path / "lab" / "bad" / "rgb.txt").write_text("# nothing\n")
    assert run(tmp_path, "lab") == 4
    said = capsys.readouterr()
    assert "failed     bad: " in said.out
    assert '"good": {"frames": 4' in said.out
    assert "1 of 2 cannot be read: bad" in said.err
