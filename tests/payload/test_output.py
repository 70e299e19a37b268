import json
import struct
from pathlib import Path

import numpy as np
import pytest

from slam.errors import OutputError
from slam.output import results
from slam.output.cloud import Cloud, write_cloud
from slam.output.results import prepare_folder, replacing, workspace, write_json


def test_a_ply_holds_points_and_colours(tmp_path: Path) -> None:
    points = np.array([[1.5, -2.0, 3.25], [0.0, 0.5, 1e6]])
    colors = np.array([[255, 0, 7], [1, 2, 3]], np.uint8)
    write_cloud(tmp_path / "cloud.ply", Cloud(points=points, colors=colors))
    header, _, body = (tmp_path / "cloud.ply").read_bytes().partition(b"end_header\n")
    assert header.decode() == (
        "ply\nformat binary_little_endian 1.0\nelement vertex 2\n"
        "property float x\nproperty float y\nproperty float z\n"
        "property uchar red\nproperty uchar green\nproperty uchar blue\n"
    )
    assert list(struct.iter_unpack("<fffBBB", body)) == [
        (1.5, -2.0, 3.25, 255, 0, 7),
        (0.0, 0.5, 1e6, 1, 2, 3),
    ]


def test_colmap_reads_the_ply(tmp_path: Path) -> None:
    import pycolmap

    points = np.random.default_rng(0).normal(size=(50, 3))
    colors = np.random.default_rng(1).integers(0, 256, (50, 3), dtype=np.uint8)
    write_cloud(tmp_path / "cloud.ply", Cloud(points=points, colors=colors))
    model = pycolmap.Reconstruction()
    model.import_PLY(tmp_path / "cloud.ply")
    read = [model.points3D[number] for number in sorted(model.points3D)]
    np.testing.assert_allclose([point.xyz for point in read], points, atol=1e-6)
    np.testing.assert_array_equal([point.color for point in read], colors)


def test_an_empty_cloud_is_a_ply_too(tmp_path: Path) -> None:
    write_cloud(tmp_path / "c.ply", Cloud(points=np.empty((0, 3)), colors=np.empty((0, 3), np.uint8)))
    assert (tmp_path / "c.ply").read_bytes().endswith(b"end_header\n")


def test_a_file_is_whole_or_not_there(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def fail() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert path.read_text() == "old"
    write_json(path, {"rmse": 0.1, "frames": 3})
    assert json.loads(path.read_text()) == {"rmse": 0.1, "frames": 3}
    assert [file.name for file in tmp_path.iterdir()] == ["a.json"]


def test_json_holds_no_nan(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"rmse": float("nan")})
    assert list(tmp_path.iterdir()) == []


def test_earlier_results_are_taken_away_and_nothing_else(tmp_path: Path) -> None:
    for name in ("ate.json", "notes.txt"):
        (tmp_path / name).write_text("old")
    prepare_folder(tmp_path, ("ate.json", "cloud.ply"))
    assert [file.name for file in tmp_path.iterdir()] == ["notes.txt"]


def test_folders_of_an_earlier_run_are_taken_away(tmp_path: Path) -> None:
    (tmp_path / "sparse" / "0").mkdir(parents=True)
    (tmp_path / "sparse" / "0" / "cameras.bin").write_text("old")
    (tmp_path / "summary.json").write_text("{}")
    prepare_folder(tmp_path, results.NAMES)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_no_run_has_made_stays(tmp_path: Path) -> None:
    (tmp_path / "sparse").mkdir()
    (tmp_path / "sparse" / "mine.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"sparse is there and is no earlier result.*--out"):
        prepare_folder(tmp_path, results.NAMES)
    assert (tmp_path / "sparse" / "mine.txt").read_text() == "mine"


def test_folders_get_their_place_with_the_files_or_not_at_all(tmp_path: Path) -> None:
    def fail() -> None:
        with results.together(tmp_path) as folder:
            (folder / "sparse" / "0").mkdir(parents=True)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert list(tmp_path.iterdir()) == []
    with results.together(tmp_path) as folder:
        (folder / "sparse" / "0").mkdir(parents=True)
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["sparse", "sparse/0"]


def test_every_result_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "results.md").read_text(encoding="utf-8")
    table = page.partition("## Files")[2].partition("\n## ")[0]
    assert [name for name in results.NAMES if f"`{name}" not in table] == []


def test_a_file_is_no_output_folder(tmp_path: Path) -> None:
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"out cannot be written to .*--out"):
        prepare_folder(tmp_path / "out", ())


def test_intermediate_files_lie_in_the_output_folder_unless_tmpdir_is_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, elsewhere = tmp_path / "out", tmp_path / "tmp"
    out.mkdir()
    elsewhere.mkdir()
    monkeypatch.delenv("TMPDIR", raising=False)
    with workspace(out) as folder:
        (folder / "database.db").write_text("")
        assert folder.parent == out
    monkeypatch.setenv("TMPDIR", str(elsewhere))
    with workspace(out) as folder:
        assert folder.parent == elsewhere
    assert [*out.iterdir(), *elsewhere.iterdir()] == []
