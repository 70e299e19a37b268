"""Which images COLMAP compares, and with which settings."""

import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from slam.dataset.files import are_numbered
from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice
from slam.engine.colmap import engine
from slam.engine.colmap.engine import open_project, start_colmap
from slam.engine.colmap.feature import extract_features
from slam.engine.colmap.mapping import Attempt, incremental_options
from slam.engine.colmap.matching import match_features
from slam.engine.colmap.options import Options, choose
from slam.engine.colmap.project import Project
from slam.engine.colmap.quality import QUALITY
from slam.engine.estimate import Settings
from slam.errors import ReconstructionError
from tests.payload import layers


@pytest.mark.parametrize(
    ("names", "numbered"),
    [
        (["frame1.png", "frame2.png", "frame10.png"], True),
        (["1403715273.262.png", "1403715273.312.png"], True),
        (["cam0_000001_left.png", "cam0_000002_left.png"], True),
        (["IMG_0001.JPG", "IMG_0002.JPG", "DSC_0003.JPG"], False),
        (["2024-05-01 12.59.58.jpg", "2024-05-01 13.00.07.jpg"], False),
        (["church.jpg", "door.jpg"], False),
    ],
)
def test_tells_numbered_names(names: list[str], numbered: bool) -> None:
    assert are_numbered(map(Path, names)) is numbered


def walk(folder: Path, places: list[int]) -> Path:
    """Images along a wall, at these places; those more than three places apart have nothing in common."""
    sheet = np.concatenate([layers.paint(seed, 160) for seed in range(10)], axis=1)
    return layers.film(folder, [sheet[:, 40 * place :][:, :160] for place in places])


def match(folder: Path, workspace: Path, capsys: pytest.CaptureFixture[str], **options: object) -> list[str]:
    """What is said of matching."""
    import pycolmap

    sequence = open_sequence(folder, Choice(as_taken=True))
    workspace.mkdir()
    project = open_project(sequence, Settings(threads=2, options=options), workspace)
    start_colmap(0)
    with pycolmap.Database.open(project.database) as database:
        extract_features(project, database)
        match_features(project, database)
    lines = capsys.readouterr().out.splitlines()
    return [line.removeprefix("matching   ") for line in lines if line.startswith("matching")]


def verified(said: list[str]) -> int:
    """How many pairs see the same things."""
    return int(said[-1].split(", ")[1].split()[0])


SHUFFLED = [int(place) for place in np.random.default_rng(0).permutation(32)]


def test_numbered_images_whose_neighbours_overlap_are_a_video(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = match(walk(tmp_path / "walk", list(range(32))), tmp_path / "work", capsys)
    assert "31 of 31 neighbours see the same things: taken for a video" in said
    assert "sequential with loops" in said


def test_numbered_images_in_any_order_are_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = match(walk(tmp_path / "pile", SHUFFLED), tmp_path / "work", capsys)
    assert any(line.endswith("neighbours see the same things: taken for no video") for line in said)
    assert "exhaustive" in said
    # All pairs of 32, those of neighbours included.
    assert said[-1].startswith("496 pairs, ")


def test_images_that_look_alike_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By a vocabulary of their own features; no network is asked."""
    said = match(walk(tmp_path / "pile", SHUFFLED), tmp_path / "work", capsys, matcher="vocabtree")
    assert "vocabtree" in said
    # Each sees something of the next along the wall, whatever the order.
    assert verified(said) >= 31


def test_a_loop_is_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The camera comes back to places 0 to 5 in steps that are no power of two."""
    folder = walk(tmp_path / "loop", [*range(30), 29, 29, 29, *range(6)])
    with_loops, without = (
        match(folder, tmp_path / f"work{loops}", capsys, matcher="sequential", loops=loops)
        for loops in (True, False)
    )
    assert verified(with_loops) > verified(without)


@pytest.mark.parametrize(("matcher", "degrees"), [("sequential", 8), ("exhaustive", 16)])
def test_what_is_compared_in_order_is_placed_as_a_video(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matcher: str, degrees: float
) -> None:
    """How far apart the first pair has to be, in a plain folder."""
    seen: list[Project] = []

    def place(project: Project, _database: object) -> None:
        seen.append(project)
        raise ReconstructionError("enough")

    monkeypatch.setattr(engine, "place_images", place)
    sequence = open_sequence(walk(tmp_path / "walk", list(range(4))), Choice(as_taken=True))
    settings = Settings(threads=1, options={"matcher": matcher})
    with pytest.raises(ReconstructionError, match="enough"):
        engine.estimate(sequence, settings, tmp_path)
    attempt = Attempt(name="", mapper="incremental", refines_camera=False)
    assert incremental_options(seen[0], attempt).mapper.init_min_tri_angle == degrees


def test_settings_are_in_the_summary(slam, scene: Path, tmp_path: Path) -> None:
    """The global mapper is as near to the truth as the incremental one."""
    done = slam(
        "--task", "infer", "--data-root", scene.parent, "--dataset", scene.name, "--mapper", "global",
        "--quality", "medium", SLIPWAY_OUT=str(tmp_path),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    summary = json.loads((tmp_path / "summary.json").read_text())
    work = {name: summary["colmap"][name] for name in ("quality", "matcher", "mapper", "attempt")}
    assert work == {
        "quality": "medium", "matcher": "exhaustive", "mapper": "global", "attempt": "as asked",
    }  # fmt: skip
    assert summary["frames_registered"] == 8
    assert json.loads((tmp_path / "ate.json").read_text())["rmse_percent_of_path"] < 1


@pytest.mark.long
def test_the_lens_of_tum_is_not_taken_for_wrong(slam, scene: Path, tmp_path: Path) -> None:
    """COLMAP's default places nothing: k3 of fr1's camera is above 1. The room is bent as OpenCV has it."""
    folder = tmp_path / "data" / "bent"
    shutil.copytree(scene, folder)
    lens = (0.2624, -0.9531, -0.0054, 0.0026, 1.1633)
    # OpenCV counts from the middle of the first pixel.
    matrix = np.array([[262.5, 0, 159.5], [0, 262.5, 119.5], [0, 0, 1]])
    columns, rows = np.meshgrid(np.arange(320.0), np.arange(240.0))
    pixels = np.stack([columns.ravel(), rows.ravel()], 1)[:, None]
    straight = cv2.undistortPoints(pixels, matrix, np.array(lens), P=matrix).reshape(240, 320, 2)
    for path in (folder / "rgb").iterdir():
        image = cv2.imread(str(path))
        cv2.imwrite(str(path), cv2.remap(image, straight.astype(np.float32), None, cv2.INTER_CUBIC))
    (folder / "calib.txt").write_text(f"262.5 262.5 160 120 {' '.join(map(str, lens))}\n")
    done = slam(
        "--task", "infer", "--data-root", folder.parent, "--dataset", "bent",
        SLIPWAY_OUT=str(tmp_path / "out"),
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["frames_registered"] == 8
    assert json.loads((tmp_path / "out" / "ate.json").read_text())["rmse_percent_of_path"] < 0.5


def test_options_that_were_not_asked_for_are_colmaps() -> None:
    assert choose({}) == Options()
    assert choose({"loops": False}).matcher == "auto"


def test_qualities_are_those_of_colmap() -> None:
    """By hand from option_manager.cc; low halves 25 and 50 iterations, medium divides them by 1.5."""
    rows = {
        name: (one.image_size, one.features, one.loop_images, one.local, one.whole)
        for name, one in QUALITY.items()
    }
    assert rows == {
        None: (3200, 8192, 50, -1, -1),
        "low": (1000, 2048, 25, 12, 25),
        "medium": (1600, 4096, 33, 16, 33),
        "high": (2400, 8192, 50, 30, 75),
        "extreme": (3200, 8192, 50, 40, 100),
    }


def test_without_a_quality_all_is_as_colmap_has_it() -> None:
    import pycolmap

    none = QUALITY[None]
    extraction, mapping = pycolmap.SiftExtractionOptions(), pycolmap.IncrementalPipelineOptions()
    pairing, alike = pycolmap.SequentialPairingOptions(), pycolmap.VocabTreePairingOptions()
    assert (none.features, none.affine, none.pooled) == (
        extraction.max_num_features, extraction.estimate_affine_shape, extraction.domain_size_pooling,
    )  # fmt: skip
    assert (none.loop_images, none.alike_images) == (pairing.loop_detection_num_images, alike.num_images)
    assert none.words == alike.max_num_features == pairing.loop_detection_max_num_features
    assert (none.local, none.local_rounds, none.whole, none.whole_rounds) == (
        mapping.ba_local_max_num_iterations, mapping.ba_local_max_refinements,
        mapping.ba_global_max_num_iterations, mapping.ba_global_max_refinements,
    )  # fmt: skip
    assert none.guided is pycolmap.FeatureMatchingOptions().guided_matching
