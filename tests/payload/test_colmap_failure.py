"""Why images cannot be placed: one made set of images for each cause."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.payload import layers

NUMBERS = re.compile(r"by ([0-9.]+) px \(median\), in the widest by ([0-9.]+) px.* ([0-9.]+) degrees apart")


def infer(slam, folder: Path, out: Path, *options: str):
    return slam(
        "--task", "infer", "--data-root", folder.parent, "--dataset", folder.name, *options,
        SLIPWAY_OUT=str(out),
    )  # fmt: skip


def fail(slam, folder: Path, out: Path, *options: str) -> str:
    """The message of a run in which nothing was placed."""
    done = infer(slam, folder, out, *options)
    assert (done.returncode, list(out.iterdir())) == (3, [])
    return done.stderr


def test_blank_images(slam, tmp_path: Path) -> None:
    images = [np.full((240, 320), 7, np.uint8) for _ in range(4)]
    images[1] = layers.paint(1)[:240, :320]
    message = fail(slam, layers.film(tmp_path / "data" / "dark", images), tmp_path / "out")
    assert "dark: 3 of 4 images have fewer than 50 features" in message
    assert "the images are 8-bit grey with values from" in message


def test_no_overlap(slam, tmp_path: Path) -> None:
    images = [layers.paint(seed)[:240, :320] for seed in range(5)]
    message = fail(slam, layers.film(tmp_path / "data" / "apart", images), tmp_path / "out")
    assert "apart: the images do not overlap: 0 of 10 pairs that were compared see the same things" in message
    assert "the largest group of images that these join has 1 of 5" in message


def test_a_camera_that_stands_still(slam, tmp_path: Path) -> None:
    message = fail(slam, layers.move(tmp_path / "data" / "still", (0, 0, 0)), tmp_path / "out")
    assert "still: the camera stands still: in the 15 pairs" in message
    median, widest, angle = map(float, NUMBERS.search(message).groups())
    assert (median < 0.5, widest < 1, angle < 0.2) == (True, True, True)


def test_a_camera_that_only_turns(slam, tmp_path: Path) -> None:
    message = fail(slam, layers.move(tmp_path / "data" / "turn", (0, 0, 0), degrees=3), tmp_path / "out")
    assert "turn: the camera turns without moving" in message
    _, widest, angle = map(float, NUMBERS.search(message).groups())
    # 15 degrees, from the first to the last, are 260 px * tan 15 degrees in the middle of the image.
    assert widest == pytest.approx(260 * np.tan(np.radians(15)), rel=0.25)
    assert angle < 0.25


@pytest.mark.long
def test_a_camera_that_hardly_moves(slam, tmp_path: Path) -> None:
    message = fail(slam, layers.move(tmp_path / "data" / "near", (0.01, 0, 0)), tmp_path / "out")
    assert "near: the camera moves too little for what it sees" in message
    angle = float(NUMBERS.search(message)[3])
    # 5 cm, from the first to the last, are seen from 2 to 4 m.
    assert 0.25 < angle < np.degrees(0.05 / 2)


@pytest.mark.long
def test_little_parallax_is_tried_again(slam, tmp_path: Path) -> None:
    """COLMAP itself places none of these: no pair of them is 4 degrees apart."""
    folder = layers.move(tmp_path / "data" / "ahead", (0.004, 0.002, 0.05))
    done = infer(slam, folder, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    lines = [line for line in done.stdout.splitlines() if line.startswith("mapping")]
    assert "mapping    registered 0 of 6" in lines
    assert "mapping    relaxed first pair: registered 6 of 6" in lines
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["colmap"]["attempt"] == "relaxed first pair"
    assert summary["frames_registered"] == 6


@pytest.mark.long
def test_a_wrong_focal_length(slam, scene: Path, tmp_path: Path) -> None:
    """The images of the room are told to be twice as narrow; what they say is the renderer's own."""
    folder = tmp_path / "data" / "room"
    shutil.copytree(scene, folder)
    (folder / "calib.txt").write_text("525 525 160 120\n")
    done = infer(slam, folder, tmp_path / "out")
    assert (done.returncode, done.stderr) == (0, "")
    assert "note       the calibration's focal length is 525.0 px, the images say 2" in done.stdout
    assert "--refine-camera" in done.stdout
    found = json.loads((tmp_path / "out" / "summary.json").read_text())["colmap"]["focal_length"]
    assert found["found_px"] == pytest.approx(262.5, rel=0.05)
    assert found["found_error_px"] < found["given_error_px"] / 2
    assert (found["is_used"], found["is_doubtful"]) == (False, True)

    refined = infer(slam, folder, tmp_path / "refined", "--refine-camera")
    assert (refined.returncode, refined.stderr) == (0, "")
    assert "which was used" in refined.stdout
    summary = json.loads((tmp_path / "refined" / "summary.json").read_text())
    assert summary["camera"]["parameters"][:2] == pytest.approx([262.5, 262.5], rel=0.05)
    assert summary["colmap"]["focal_length"]["is_used"] is True
