"""`--task check`: a dataset that is well, and each way in which one may be broken."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slam.command import main
from slam.dataset.camera import Intrinsics
from slam.demo.scene import make_scene
from slam.task.check import find_oddities
from tests.payload.datasets import make_eth3d, make_euroc, make_kitti, make_plain, make_tartanair

FRAMES = 12


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "room"
    make_scene(folder, frames=FRAMES, width=160, depth=True)
    return folder


@pytest.fixture
def room(scene: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "data" / "room"
    shutil.copytree(scene, folder)
    return folder


def run(folder: Path, *more: str) -> int:
    return main(["--task", "check", "--data-root", str(folder.parent), "--dataset", folder.name, *more])


def images(room: Path) -> list[Path]:
    return sorted((room / "rgb").iterdir())


def test_a_dataset_without_a_fault(room: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(room, "--out", str(room.parent)) == 0
    said = capsys.readouterr().out
    assert f"found      tum; {FRAMES} images of 160x120; camera " in said
    assert f"ground truth of {FRAMES} poses; {FRAMES} depth images" in said
    assert "result     1 sequence without a fault" in said
    assert "fault " not in said
    (sequence,) = json.loads((room.parent / "check.json").read_text())["sequences"]
    assert (sequence["sequence"], sequence["faults"]) == ("room", [])


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:200])


def break_image(room: Path) -> str:
    cut(images(room)[3])
    return f"{images(room)[3]}: not a readable image"


def break_size(room: Path) -> str:
    Image.new("RGB", (80, 60)).save(images(room)[5])
    return f"{images(room)[5]} is 80x60, and {FRAMES - 1} of {FRAMES} images are 160x120"


def remove_image(room: Path) -> str:
    gone = images(room)[2]
    gone.unlink()
    return f"the image {gone} does not exist; stage all of room, or correct the list"


def shuffle_list(room: Path) -> str:
    lines = (room / "rgb.txt").read_text().splitlines()
    lines[-1], lines[-2] = lines[-2], lines[-1]
    (room / "rgb.txt").write_text("\n".join(lines) + "\n")
    return "rgb.txt: 1 of 12 rows are earlier than the one before (line"


def double_stamp(room: Path) -> str:
    lines = (room / "rgb.txt").read_text().splitlines()
    lines[-1] = f"{lines[-2].split()[0]} {lines[-1].split()[1]}"
    (room / "rgb.txt").write_text("\n".join(lines) + "\n")
    return "rgb.txt: 1 of 12 rows have a timestamp that was there before"


def break_line(room: Path) -> str:
    (room / "rgb.txt").write_text((room / "rgb.txt").read_text() + "what is this\n")
    return "'what is this'; expected `timestamp filename`"


def cut_truth(room: Path) -> str:
    lines = (room / "groundtruth.txt").read_text().splitlines()
    (room / "groundtruth.txt").write_text("\n".join(lines[: -FRAMES // 2]) + "\n")
    return f"groundtruth.txt has {FRAMES // 2} poses, and covers {FRAMES // 2} of {FRAMES} images"


def move_truth(room: Path) -> str:
    rows = [line.split() for line in (room / "groundtruth.txt").read_text().splitlines() if line[0] != "#"]
    moved = [" ".join([f"{float(row[0]) + 5000:.6f}", *row[1:]]) for row in rows]
    (room / "groundtruth.txt").write_text("\n".join(moved) + "\n")
    return "groundtruth.txt"


def garble_truth(room: Path) -> str:
    (room / "groundtruth.txt").write_text("1 2 three\n")
    return "groundtruth.txt:1"


def break_calibration(room: Path) -> str:
    (room / "calib.txt").write_text("150 400 80 60\n")
    return "fx 150 beside fy 400, which no camera of these 160x120 images has"


def garble_calibration(room: Path) -> str:
    (room / "calib.txt").write_text("fx fy\n")
    return "calib.txt"


def break_depth(room: Path) -> str:
    depth = sorted((room / "depth").iterdir())[1]
    Image.fromarray(np.zeros((120, 160), np.uint8)).save(depth)
    return f"{depth}: a depth image has 16 bits a pixel, and this one has 8"


def cut_depth(room: Path) -> str:
    depth = sorted((room / "depth").iterdir())[0]
    cut(depth)
    return f"{depth}: not a readable image"


def move_depth(room: Path) -> str:
    lines = [line for line in (room / "depth.txt").read_text().splitlines() if line[0] != "#"]
    (room / "depth.txt").write_text("\n".join(lines[:3]) + "\n")
    return f"only 3 of {FRAMES} images have depth images of their moment"


@pytest.mark.parametrize(
    "spoil",
    [
        break_image,
        break_size,
        remove_image,
        shuffle_list,
        double_stamp,
        break_line,
        cut_truth,
        move_truth,
        garble_truth,
        break_calibration,
        garble_calibration,
        break_depth,
        cut_depth,
        move_depth,
    ],
)
def test_a_fault_is_named(
    room: Path, spoil: Callable[[Path], str], capsys: pytest.CaptureFixture[str]
) -> None:
    words = spoil(room)
    assert run(room) == 4
    said = capsys.readouterr()
    faults = [line for line in said.out.splitlines() if line.startswith("fault ")]
    assert len(faults) == 1, faults
    assert words in faults[0]
    assert said.err == "slam: 1 fault in 1 of 1 sequence: room; each is named above, with its file\n"


def test_all_faults_of_all_sequences_are_named(
    room: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    top = tmp_path / "many" / "set"
    for name in ("one", "two", "three"):
        shutil.copytree(room, top / name)
    cut(images(top / "one")[0])
    cut(images(top / "one")[1])
    shuffle_list(top / "three")
    assert run(top) == 4
    said = capsys.readouterr()
    assert said.out.count("fault ") == 3
    assert "[2/3] three" in said.out
    assert "3 faults in 2 of 3 sequences: one, three;" in said.err
    assert run(top, "--sequence", "two") == 0


@pytest.mark.parametrize("make", [make_euroc, make_kitti, make_eth3d, make_tartanair])
def test_each_layout_is_looked_at(
    make: Callable[[Path], Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = make(tmp_path / "data" / "one")
    assert run(folder) == 0
    said = capsys.readouterr().out
    assert "images of " in said
    assert ("second images" in said) or ("depth images" in said)


def test_a_broken_partner_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_tartanair(tmp_path / "data" / "one")
    cut(folder / "image_right" / "000001_right.png")
    (folder / "depth_left" / "000002_left_depth.npy").write_bytes(b"\x93NUMPY")
    assert run(folder) == 4
    faults = [line for line in capsys.readouterr().out.splitlines() if line.startswith("fault ")]
    assert [one.split(": ")[0].rsplit("/")[-1] for one in faults] == [
        "000001_right.png",
        "000002_left_depth.npy",
    ]


def test_what_is_no_sequence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "data" / "none"
    folder.mkdir(parents=True)
    assert run(folder) == 4
    assert "it is empty" in capsys.readouterr().out
    assert main(["--task", "check"]) == 2
    assert "check needs a dataset; name one with --dataset" in capsys.readouterr().err


def test_a_plain_folder_without_a_truth(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = make_plain(tmp_path / "data" / "plain", "500 500 328 240")
    assert run(folder) == 0
    assert "note       there is no ground truth, so no errors can be measured" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("camera", "words"),
    [
        (Intrinsics(fx=500, fy=500, cx=320, cy=240), []),
        (Intrinsics(fx=float("nan"), fy=500, cx=320, cy=240), ["a number that is not finite"]),
        (
            Intrinsics(fx=500, fy=500, cx=320, cy=240, distortion=(float("inf"),)),
            ["a number that is not finite"],
        ),
        (Intrinsics(fx=500, fy=50000, cx=320, cy=240), ["a focal length of 50000 pixels"]),
        (Intrinsics(fx=500, fy=1500, cx=320, cy=240), ["fx 500 beside fy 1500"]),
    ],
)
def test_cameras_that_are_none(camera: Intrinsics, words: list[str]) -> None:
    assert list(find_oddities(camera, (640, 480))) == words
