"""Every layout in every engine: what is read of it, as docs/datasets.md has it, however it was staged."""

import json
import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from slam.dataset import euroc
from slam.dataset.calibration.catalog import FORMS
from slam.dataset.catalog import find_sequences
from slam.dataset.layout import LAYOUTS, Layout, find_layout, open_sequence
from slam.dataset.sequence import Choice, Mode, Sequence
from slam.engine.catalog import ENTRIES
from slam.errors import InputError
from tests.mistakes import Block
from tests.payload import calibrations
from tests.payload.bags import make_bag
from tests.payload.conftest import Slam
from tests.payload.datasets import (
    make_eth3d,
    make_euroc,
    make_kitti,
    make_plain,
    make_tartanair,
    make_tum,
    noise,
    save,
)
from tests.payload.films import film

Maker = Callable[[Path], Path]


def with_truth(make: Maker) -> Maker:
    """A sequence that has its layout's ground truth."""

    def made(folder: Path) -> Path:
        make(folder)
        layout = find_layout(folder)
        assert layout is not None
        path = layout.groundtruth_of(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("# nobody reads it here\n")
        return folder

    return made


def make_video(folder: Path) -> Path:
    film(folder / "desk.mp4", [noise((640, 480), place) for place in range(9)])
    (folder / "calib.txt").write_text("500 500 320 240\n")
    return folder


def make_lab(folder: Path) -> Path:
    make_bag(folder / "lab.bag", [noise((640, 480), place) for place in range(3)])
    return folder


# The name that people know it by, where one is staged, and how it is made.
MADE: dict[str, tuple[str, str, Maker]] = {
    "tum": ("TUM RGB-D", "rgbd_dataset_freiburg1_xyz", with_truth(partial(make_tum, depth=True))),
    "euroc": ("EuRoC", "MH_01_easy", with_truth(make_euroc)),
    "kitti": ("KITTI odometry", "kitti/sequences/00", with_truth(make_kitti)),
    "eth3d": ("ETH3D SLAM", "sfm_bench", with_truth(make_eth3d)),
    "tartanair": ("TartanAir", "hospital/hospital/Easy/P000", with_truth(make_tartanair)),
    "video": ("video", "desk", with_truth(make_video)),
    "bag": ("ROS bag", "lab", with_truth(make_lab)),
    "plain": ("any folder", "walk", with_truth(lambda folder: make_plain(folder, "500 500 330 240"))),
}
NONE = "\N{EN DASH}"
OF_ONE_CAMERA = [name for name, entry in ENTRIES.items() if "mono" in entry.modes]
HEADER = (
    "| layout | told by | engine | images | camera | `--stereo` | `--depth` | ground truth |",
    "| --- | --- | --- | --- | --- | --- | --- | --- |",
)
FORMS_HEADER = (
    "| format | files | models | `cx cy` count from | refused |",
    "| --- | --- | --- | --- | --- |",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("layouts")
    for _, place, make in MADE.values():
        make(folder / place)
    return folder


@pytest.mark.parametrize("layout", LAYOUTS, ids=lambda layout: layout.name)
def test_a_layout_is_told_by_what_is_in_it(root: Path, layout: Layout) -> None:
    assert find_layout(root / MADE[layout.name][1]) == layout


def opened(folder: Path, engine: str, mode: Mode) -> Sequence | None:
    """As an engine gets it; ``None`` where it, or the layout, has no such thing."""
    if mode not in ENTRIES[engine].modes:
        return None
    try:
        return open_sequence(folder, Choice(as_taken=ENTRIES[engine].reads_files, mode=mode))
    except InputError as error:
        if "leave --" not in str(error):
            raise
        return None


def row(root: Path, layout: Layout, engine: str) -> str:
    """What an engine gets of a layout's sequence, by the files that are named in it."""
    name, place, _ = MADE[layout.name]
    folder = root / place
    mono, stereo, depth = (opened(folder, engine, mode) for mode in ("mono", "stereo", "rgbd"))
    whole = mono or depth or stereo
    if whole is None:
        assert "mono" not in ENTRIES[engine].modes
        return "| " + " | ".join((name, layout.told_by, engine, *[NONE] * 5)) + " |"

    def shown(path: Path | None) -> str:
        return f"`{os.path.relpath(path, folder)}`" if path else NONE

    return "| " + " | ".join(
        (
            name,
            layout.told_by,
            engine,
            f"{shown(whole.frames[0].image)}, {describe(whole, engine)}",
            whole.calibration.partition(":")[0].replace(f"{folder}/", ""),
            shown(stereo.frames[0].right if stereo else None),
            shown(depth.frames[0].depth if depth else None),
            f"{shown(whole.groundtruth)} |",
        )
    )


def describe(sequence: Sequence, engine: str) -> str:
    is_bent = sequence.intrinsics is not None and sequence.intrinsics.distortion
    way = "rectified" if sequence.turn else "undistorted" if is_bent else "resized"
    how = "as taken" if ENTRIES[engine].reads_files else way
    return f"{how}, {sequence.width}x{sequence.height}"


def test_the_document_says_what_is_read(root: Path) -> None:
    rows = [row(root, layout, engine) for layout in LAYOUTS for engine in ENTRIES]
    Block("datasets.md", "layouts").check([*HEADER, *rows])


def test_the_document_has_all_formats_of_calibrations() -> None:
    rows = [
        f"| {form.name} | {form.files} | {form.models} | {form.origin.value} | {form.refused or NONE} |"
        for form in FORMS
    ]
    Block("datasets.md", "calibrations").check([*FORMS_HEADER, *rows])


@pytest.mark.parametrize("engine", OF_ONE_CAMERA)
@pytest.mark.parametrize(
    ("staged", "dataset", "names", "found"),
    [
        ("MH_01_easy", "MH_01_easy", (), "MH_01_easy"),
        ("MH_01_easy", "MH_01_easy", ("mav0",), "mav0"),
        ("MH_01_easy", "MH_01_easy", ("MH_01_easy",), "MH_01_easy"),
        ("euroc/MH_01_easy", "euroc", (), "MH_01_easy"),
        ("euroc/MH_01_easy", "euroc", ("MH_01",), "MH_01_easy"),
        ("euroc/MH_01_easy", "euroc", ("MH_01_easy/mav0",), "MH_01_easy/mav0"),
        (
            "euroc/machine_hall/MH_01_easy/MH_01_easy",
            "euroc",
            ("MH_01",),
            "machine_hall/MH_01_easy/MH_01_easy",
        ),
        ("all/a/b/c/d/MH_01_easy", "all", (), "a/b/c/d/MH_01_easy"),
    ],
)
def test_a_sequence_is_found_however_it_was_staged(
    root: Path, tmp_path: Path, engine: str, staged: str, dataset: str, names: tuple[str, ...], found: str
) -> None:
    (tmp_path / staged).parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(root / "MH_01_easy", tmp_path / staged)
    (only,) = find_sequences(tmp_path, dataset, names)
    assert only.name == found
    sequence = opened(only.folder, engine, "mono")
    assert sequence is not None
    assert sequence.length == 4
    assert sequence.calibration.startswith("published for EuRoC: pinhole, fx 458.654")
    assert sequence.groundtruth is not None


def test_mav0_itself_may_be_staged(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "MH_01_easy" / "mav0", tmp_path / "mav0")
    (only,) = find_sequences(tmp_path, "mav0")
    assert opened(only.folder, "colmap", "mono") is not None
    stereo = opened(only.folder, "droid", "stereo")
    assert stereo is not None
    assert (stereo.width, stereo.baseline_m) == (512, euroc.BASELINE_M)


def test_euroc_takes_its_own_sensor_before_the_published_one(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "own"
    shutil.copytree(root / "MH_01_easy", folder)
    sensor = folder / "mav0" / "cam0" / "sensor.yaml"
    same = calibrations.SENSOR.replace("317.215", "367.215").replace("[640, 480]", "[752, 480]")
    sensor.write_text(same)
    sequence = opened(folder, "colmap", "mono")
    assert sequence is not None
    # The same numbers are the same camera, whose pairs are rectified.
    assert sequence.intrinsics == euroc.LEFT_CAMERA
    assert opened(folder, "droid", "stereo") is not None
    sensor.write_text(same.replace("458.654", "470.5"))
    for engine in OF_ONE_CAMERA:
        sequence = opened(folder, engine, "mono")
        assert sequence is not None
        assert sequence.intrinsics is not None
        assert sequence.intrinsics.fx == 470.5
        assert sequence.calibration.startswith(f"{sensor} (EuRoC sensor")
    assert (sequence.turn, sequence.settings, sequence.tracked_every) == (None, {}, 1)
    with pytest.raises(
        InputError, match=r"no T_BS with the 16 numbers|how its two cameras stand to each other is not known"
    ):
        open_sequence(folder, Choice(mode="stereo"))


def test_a_fisheye_in_eurocs_layout_is_straightened_for_droid(tmp_path: Path) -> None:
    """As TUM VI's recordings, with a camchain above them."""
    folder = tmp_path / "tumvi" / "dataset-room1" / "mav0"
    for place in range(4):
        save(folder / "cam0" / "data" / f"{10**18 + place}.png", noise((640, 480), place))
    (tmp_path / "tumvi" / "camchain.yaml").write_text(
        calibrations.KALIBR.replace("cam1", "cam2").replace("cam0", "cam1").replace("cam2", "cam0")
    )
    sequence = open_sequence(folder.parent, Choice(top=tmp_path / "tumvi"))
    assert sequence.intrinsics is not None
    assert sequence.intrinsics.is_fisheye
    assert next(iter(sequence.pictures)).image.shape == (3, 384, 512)
    assert "(Kalibr, cam0" in sequence.calibration


def test_kitti_has_times_pairs_and_a_baseline(root: Path) -> None:
    folder = root / "kitti" / "sequences" / "00"
    stereo = open_sequence(folder, Choice(mode="stereo"))
    assert stereo.stamps == ("0.000000e+00", "1.037360e-01", "2.074720e-01")
    assert stereo.baseline_m == pytest.approx(386.1448 / 718.856)
    frame = next(iter(stereo.pictures))
    assert frame.right is not None
    assert frame.image.shape == frame.right.shape == (3, 240, 800)
    np.testing.assert_allclose(frame.intrinsics[:2], [718.856 * 805 / 1241, 718.856 * 244 / 376])
    assert stereo.groundtruth == root / "kitti" / "poses" / "00.txt"


@pytest.mark.long
def test_kitti_is_compared_with_its_poses(scene: Path, tmp_path: Path, slam: Slam) -> None:
    """The demo's room in this layout, with the poses that evo makes of its ground truth."""
    from evo.tools import file_interface

    folder = tmp_path / "kitti" / "sequences" / "00"
    (folder / "image_0").mkdir(parents=True)
    (tmp_path / "kitti" / "poses").mkdir()
    images = sorted(scene.glob("rgb/*.png"))
    for place, image in enumerate(images):
        shutil.copy(image, folder / "image_0" / f"{place:06d}.png")
    truth = file_interface.read_tum_trajectory_file(scene / "groundtruth.txt")
    (folder / "times.txt").write_text(
        "".join(f"{time - truth.timestamps[0]:e}\n" for time in truth.timestamps)
    )
    file_interface.write_kitti_poses_file(tmp_path / "kitti" / "poses" / "00.txt", truth)
    (folder / "calib.txt").write_text("P0: 262.5 0 160 0 0 262.5 120 0 0 0 1 0\n")
    words = ("--task", "infer", "--data-root", tmp_path, "--dataset", "kitti", "--sequence", "00")
    done = slam(*words, "--max-frames", "5", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    ate = json.loads((tmp_path / "out" / "ate.json").read_text())
    assert ate["rmse"] < 0.02


def test_kittis_colour_images_are_read_where_there_are_no_grey_ones(root: Path, tmp_path: Path) -> None:
    folder = tmp_path / "kitti" / "sequences" / "00"
    shutil.copytree(root / "kitti", tmp_path / "kitti")
    for name in ("image_0", "image_1"):
        (folder / name).rename(folder / name.replace("0", "2").replace("1", "3"))
    sequence = open_sequence(folder, Choice(as_taken=True))
    assert "(KITTI, P2)" in sequence.calibration
    assert sequence.notes == (
        f"{folder / 'image_2'} is read, and the ground truth is of the camera of image_0, 0.063 m beside it",
    )


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda folder: (folder / "times.txt").write_text("0\n1\n"),
            "times.txt: 2 times, and 3 images in image_0",
        ),
        (lambda folder: (folder / "times.txt").write_text("0\n2\n1\n"), "times.txt:3: '1' is no later time"),
        (lambda folder: (folder / "times.txt").write_text("0\n1\n1\n"), "times.txt:3: '1' is no later time"),
        (
            lambda folder: (folder / "image_1" / "000001.png").unlink(),
            r"000001.png is missing; stage .* image_1/",
        ),
    ],
)
def test_what_is_wrong_with_kitti_is_said(
    root: Path, tmp_path: Path, spoil: Callable[[Path], object], message: str
) -> None:
    folder = tmp_path / "kitti" / "sequences" / "00"
    shutil.copytree(root / "kitti", tmp_path / "kitti")
    spoil(folder)
    with pytest.raises(InputError, match=message):
        open_sequence(folder, Choice(mode="stereo"))


@pytest.mark.long
def test_the_log_says_which_calibration_was_taken(scene: Path, tmp_path: Path, slam: Slam) -> None:
    """Its second line, also where a folder above has it and where there is none."""
    folder = tmp_path / "set" / "room"
    shutil.copytree(scene, folder)
    (folder / "calib.txt").rename(tmp_path / "set" / "calib.txt")
    words = ("--task", "infer", "--data-root", tmp_path, "--dataset", "set", "--sequence", "room")
    done = slam(*words, "--max-frames", "4", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    expected = (
        f"{tmp_path / 'set' / 'calib.txt'} (numbers): pinhole, fx 262.500 fy 262.500 cx 160.000 cy 120.000"
    )
    assert done.stdout.splitlines()[1] == f"camera     {expected}"
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["calibration"] == expected
    (tmp_path / "set" / "calib.txt").write_text("262.5 262.5 1600 120\n")
    done = slam(*words, "--max-frames", "4", "--out", tmp_path / "other")
    assert done.returncode == 0, done.stderr
    _, second, third, *_ = done.stdout.splitlines()
    assert second == "camera     not known; colmap estimates it"
    assert third.startswith(
        f"note       the calibration in {tmp_path / 'set'}, above the sequence, is not used: "
    )
