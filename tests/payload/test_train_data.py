"""What there is to train on is found, read and checked; nothing here needs PyTorch."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slam.errors import InputError
from slam.train.collection import find_scenes
from slam.train.covisibility import build_graph, measure_flow
from slam.train.options import Options
from slam.train.preparation import Footage, prepare
from slam.train.validation import invert, read_depth
from tests.payload.footage import MILLIMETRES, camera, look, make_footage, make_tartanair, poses


def options(data: Path, **changes: object) -> Options:
    small = {"crop": (128, 160), "n_frames": 3, "fmin": 1.0, "threads": 2}
    return Options(data=data, out=data.parent / "out", **{**small, **changes})  # type: ignore[arg-type]


def check(data: Path, **changes: object) -> Footage:
    return prepare(options(data, **changes), reserved=[], caches=[data.parent / "cache"])


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_footage(tmp_path_factory.mktemp("recorded") / "wall")


@pytest.fixture
def wall(recorded: Path, tmp_path: Path) -> Path:
    shutil.copytree(recorded, tmp_path / "wall")
    return tmp_path / "wall"


def test_footage_is_read_as_it_was_recorded(wall: Path) -> None:
    footage = check(wall)
    (scene,) = footage.scenes
    assert scene.name == "wall"
    assert [path.name for path in scene.images] == [f"{place:03d}.png" for place in range(10)]
    np.testing.assert_allclose(scene.poses, poses(10, 0.08), atol=1e-12)
    np.testing.assert_allclose(scene.camera, camera(192, 144))
    expected = look(scene.poses[4], 192, 144)[0]
    np.testing.assert_allclose(
        read_depth(scene.depths[4], scene.depth_divisor), expected, atol=0.51 / MILLIMETRES
    )
    assert footage.starts == tuple((0, place) for place in range(10))


def test_tartanair_is_read_as_upstream_reads_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make_tartanair(tmp_path / "data" / "hall" / "hall" / "Easy" / "P000")
    make_tartanair(tmp_path / "data" / "hall" / "hall" / "Easy" / "P001")
    for data in (tmp_path / "data", tmp_path / "data" / "hall" / "hall"):
        # As upstream's list of test scenes names them, from wherever one looks.
        (scene,) = find_scenes(
            data, layout="auto", names=[], holdout=[], reserved=["hall/hall/Easy/P000"], depth_scale=None
        )
        assert scene.folder == tmp_path / "data" / "hall" / "hall" / "Easy" / "P001"
    assert scene.name == "Easy/P001"
    assert "left out   1 scenes that upstream keeps for tests" in capsys.readouterr().out
    expected = poses(10, 0.08)
    expected[:, :3] /= 5
    np.testing.assert_allclose(scene.poses, expected, atol=1e-12)
    depth = look(poses(10, 0.08)[3], 192, 144)[0]
    np.testing.assert_allclose(read_depth(scene.depths[3], scene.depth_divisor), depth / 5, rtol=1e-6)
    assert len(check(tmp_path / "data").starts) == 20


def test_scenes_are_chosen_by_name(tmp_path: Path) -> None:
    for name in ("kitchen", "garage", "garden"):
        make_footage(tmp_path / "data" / name, frames=4, png=False)
    chosen = check(tmp_path / "data", scenes=("gar",), holdout=("garden",))
    assert [scene.name for scene in chosen.scenes] == ["garage"]
    with pytest.raises(InputError, match="3 scenes, and none of them is wanted"):
        check(tmp_path / "data", scenes=("attic",))


def test_a_link_to_a_folder_around_it_gives_no_scene_twice(wall: Path) -> None:
    (wall.parent / "again").symlink_to(wall.parent)
    scenes = find_scenes(wall.parent, layout="auto", names=[], holdout=[], reserved=[], depth_scale=None)
    assert [scene.name for scene in scenes] == ["wall"]


def test_flow_is_that_of_a_camera_that_moves_along_a_wall() -> None:
    # A wall at 2 m, steps of 10 cm to the right, a focal length of 160 px: 8 px each.
    track = np.zeros((4, 7))
    track[:, 0], track[:, 6] = 0.1 * np.arange(4), 1
    flow = measure_flow(track, np.full((4, 9, 12), 0.5, np.float32), np.array([160.0, 160, 96, 72]))
    places = np.arange(4)
    np.testing.assert_allclose(flow, 8.0 * abs(places[:, None] - places), rtol=1e-5)


def test_frames_that_look_elsewhere_are_no_neighbours() -> None:
    track = np.zeros((3, 7))
    track[:, 6] = 1
    track[2] = [0, 0, 0, 0, 1, 0, 0]  # turned around
    graph = build_graph(
        measure_flow(track, np.full((3, 9, 12), 0.5, np.float32), np.array([160.0, 160, 96, 72]))
    )
    assert [list(graph.of(frame)[0]) for frame in range(3)] == [[1], [0], []]


def test_what_was_checked_is_not_checked_again(wall: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = check(wall)
    assert "checked    wall" in capsys.readouterr().out
    second = check(wall)
    assert "checked    wall" not in capsys.readouterr().out
    np.testing.assert_array_equal(first.graphs[0].flows, second.graphs[0].flows)
    Image.open(wall / "images" / "003.png").convert("L").save(wall / "images" / "003.png")
    third = check(wall)
    assert "checked    wall" in capsys.readouterr().out
    assert third.fingerprint != first.fingerprint


def test_a_copy_is_the_same_dataset(wall: Path, tmp_path: Path) -> None:
    shutil.copytree(wall, tmp_path / "copy" / "wall", copy_function=shutil.copyfile)
    assert check(tmp_path / "copy" / "wall").fingerprint == check(wall).fingerprint


def test_a_broken_cache_is_made_anew(wall: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    check(wall)
    (kept,) = (tmp_path / "cache").iterdir()
    kept.write_bytes(kept.read_bytes()[:100])
    assert len(check(wall).starts) == 10
    capsys.readouterr()
    check(wall)
    assert "checked    wall" not in capsys.readouterr().out


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines()


def drop_depth(folder: Path) -> None:
    (folder / "depths" / "005.png").unlink()


def drop_pose(folder: Path) -> None:
    (folder / "poses.txt").write_text("\n".join(lines(folder / "poses.txt")[:-1]))


def rename_depth(folder: Path) -> None:
    (folder / "depths" / "005.png").rename(folder / "depths" / "0055.png")


def break_pose(folder: Path) -> None:
    rows = lines(folder / "poses.txt")
    rows[3] = rows[3].replace("0.3 ", "0.3 nan ", 1).rsplit(" ", 1)[0]
    (folder / "poses.txt").write_text("\n".join(rows))


def stretch_quaternion(folder: Path) -> None:
    rows = lines(folder / "poses.txt")
    rows[2] = " ".join([*rows[2].split()[:7], "1.5"])
    (folder / "poses.txt").write_text("\n".join(rows))


def shrink_image(folder: Path) -> None:
    Image.open(folder / "images" / "004.png").resize((96, 72)).save(folder / "images" / "004.png")


def cut_image(folder: Path) -> None:
    path = folder / "images" / "004.png"
    path.write_bytes(path.read_bytes()[:500])


def shrink_depth(folder: Path) -> None:
    Image.fromarray(np.ones((72, 96), np.uint16)).save(folder / "depths" / "004.png")


def colour_depth(folder: Path) -> None:
    Image.new("RGB", (192, 144)).save(folder / "depths" / "004.png")


def empty_depth(folder: Path) -> None:
    Image.fromarray(np.zeros((144, 192), np.uint16)).save(folder / "depths" / "004.png")


def forget_scale(folder: Path) -> None:
    (folder / "depth_scale.txt").unlink()


def take_metres(folder: Path) -> None:
    (folder / "depth_scale.txt").write_text("1\n")


def spoil_scale(folder: Path) -> None:
    (folder / "depth_scale.txt").write_text("mm\n")


def distort(folder: Path) -> None:
    (folder / "calib.txt").write_text("150 150 96 72 0.1 0 0 0\n")


def scale_camera(folder: Path) -> None:
    (folder / "calib.txt").write_text("600 600 320 240\n")


def scale_focal(folder: Path) -> None:
    (folder / "calib.txt").write_text("5 5 96 72\n")


def shorten_calibration(folder: Path) -> None:
    (folder / "calib.txt").write_text("150 150 96\n")


def write_poses(folder: Path, table: np.ndarray[tuple[int, int], np.dtype[np.float64]]) -> None:
    rows = [" ".join(map(str, (place, *row))) for place, row in enumerate(table)]
    (folder / "poses.txt").write_text("\n".join(rows))


def invert_poses(folder: Path) -> None:
    # Far enough apart for it to show.
    shutil.rmtree(folder)
    make_footage(folder, step_m=0.2)
    write_poses(folder, invert(poses(10, 0.2)))


def count_millimetres(folder: Path) -> None:
    table = poses(10, 0.08)
    table[:, :3] *= 1000
    write_poses(folder, table)


def deepen_image(folder: Path) -> None:
    Image.fromarray(np.full((144, 192), 900, np.uint16)).save(folder / "images" / "004.png")


def spoil_image(folder: Path) -> None:
    (folder / "images" / "004.png").write_bytes(b"P6 6x 144 255 ")


def spoil_depth(folder: Path) -> None:
    for path in (folder / "depths").iterdir():
        np.save(path.with_suffix(".npy"), np.ones((144, 192)))
        path.unlink()
    path = folder / "depths" / "004.npy"
    path.write_bytes(path.read_bytes().replace(b"'shape': (", b"'shape': ((", 1))


def archive_depths(folder: Path) -> None:
    for path in (folder / "depths").iterdir():
        with path.with_suffix(".npy").open("wb") as file:
            np.savez(file, np.ones((144, 192)))
        path.unlink()


def lose_image(folder: Path) -> None:
    (folder / "images" / "004.png").unlink()
    (folder / "images" / "004.png").symlink_to("nowhere.png")


def drop_images(folder: Path) -> None:
    shutil.rmtree(folder / "images")


MISTAKES: dict[Callable[[Path], None], str] = {
    drop_depth: "10 images in images/ and 9 depths in depths/; each image needs its depth",
    drop_pose: "poses.txt: 9 poses, but 10 images in images/",
    rename_depth: "no depth that is named as the image '005' is",
    break_pose: "poses.txt: 1 of 10 rows have a number that is not finite .line 4.",
    stretch_quaternion: "poses.txt:3: the quaternion's length is 1.5, not 1",
    shrink_image: "004.png is 96x72, not 192x144",
    cut_image: "004.png: not a readable image",
    shrink_depth: "004.png is 96x72, but its image is 192x144",
    colour_depth: "004.png: depths are 16-bit grey PNG, and this one is RGB",
    empty_depth: "004.png: almost no depth in it is a positive number",
    forget_scale: "the unit of its 16-bit depths is not known; write what one metre is",
    take_metres: "depths are about .* m; write what one metre is in them to depth_scale.txt",
    spoil_scale: "depth_scale.txt: expected one positive number",
    distort: "the lens distorts, .* undistort both",
    scale_camera: r"the principal point \(320, 240\) is outside the 192x144 images",
    scale_focal: "focal lengths of 5 and 5 pixels do not belong to images 192 pixels wide",
    shorten_calibration: "calib.txt:1: 3 numbers",
    invert_poses: "contradict each other.* world-to-camera poses .* so invert them",
    count_millimetres: "no frame of 1 scenes can begin a sample.* are the poses in the depths' unit",
    deepen_image: "004.png: its pixels have more than 8 bits",
    spoil_image: "004.png: not a readable image",
    spoil_depth: "004.npy: not a readable depth image",
    archive_depths: "000.npy: an archive of arrays",
    lose_image: "004.png: it cannot be read",
    drop_images: "images is missing",
}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.__name__)
def test_a_mistake_is_told_before_the_first_step(wall: Path, mistake: Callable[[Path], None]) -> None:
    mistake(wall)
    with pytest.raises(InputError, match=MISTAKES[mistake]):
        check(wall)


REFUSED = {
    "10 frames, and a sample of --n_frames 10 needs 11": {"n_frames": 10},
    "too small for --crop 384 512": {"crop": (384, 512)},
    "between --fmin 90 and --fmax 96 px; neighbouring frames are": {"fmin": 90.0},
}


@pytest.mark.parametrize("message", REFUSED)
def test_what_does_not_fit_the_data_is_told(wall: Path, message: str) -> None:
    with pytest.raises(InputError, match=message):
        check(wall, **REFUSED[message])


def test_no_folder_and_no_scene_are_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there is no such folder"):
        check(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no scene in it; a scene is"):
        check(tmp_path / "empty")


def test_tartanair_images_of_another_size_need_a_camera(tmp_path: Path) -> None:
    folder = make_tartanair(tmp_path / "data" / "P000")
    (folder / "calib.txt").unlink()
    with pytest.raises(InputError, match="192x144, not 640x480: TartanAir's camera is known for that size"):
        check(tmp_path / "data")


def test_holes_in_depths_are_no_mistake(wall: Path) -> None:
    path = wall / "depths" / "004.png"
    with Image.open(path) as image:
        depth = np.asarray(image).copy()
    depth[:40] = 0
    Image.fromarray(depth).save(path)
    assert len(check(wall).starts) == 10
    assert (read_depth(path, MILLIMETRES)[:40] == 0).all()
