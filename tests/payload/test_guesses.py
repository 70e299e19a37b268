"""What is guessed about data: the order of images, units of time, cameras in files that are not read."""

import re
from decimal import Decimal
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slam.dataset.files import describe_order, sort_images
from slam.dataset.frames import add_depth
from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice, Frame, Sequence
from slam.dataset.tum import read_frame_list
from slam.errors import InputError
from slam.posefile.clock import find_clock, to_seconds
from slam.posefile.posefile import read_posefile
from slam.text import read_lines
from tests.payload.datasets import make_eth3d, make_plain, make_tartanair
from tests.payload.footage import make_footage


def taken(folder: Path, top: Path | None = None) -> Sequence:
    return open_sequence(folder, Choice(as_taken=True, top=top))


def names(*given: str) -> list[str]:
    return [path.name for path in sort_images(map(Path, given))]


@pytest.mark.parametrize(
    "ordered",
    [
        [f"frame{number}.png" for number in range(1, 13)],
        ["9.png", "10.png", "100.png"],
        ["000009.png", "000010.png", "000100.png"],
        ["a1b9.png", "a1b10.png", "a2b1.png"],
        # Times with as many digits as there were: a fraction is no number of its own.
        ["1305031102.175.png", "1305031102.2.png", "1305031102.25.png", "1305031103.png"],
        ["t1.25_left.png", "t1.5_left.png", "t10_left.png"],
        # Numbers with points that are no fractions, as there are two of them.
        ["take1.9_2.png", "take1.10_1.png"],
        ["IMG_1.JPG", "IMG_02.JPG", "IMG_2.JPG", "IMG_10.png"],
        ["a.png", "b.png"],
    ],
)
def test_images_are_in_the_order_of_their_numbers(ordered: list[str]) -> None:
    assert names(*reversed(ordered)) == ordered
    assert names(*ordered) == ordered


def test_a_note_says_so_where_letters_have_another_order() -> None:
    numbers = tuple(Path(f"frame{number}.png") for number in range(1, 13))
    (note,) = describe_order(sort_images(numbers))
    assert note.endswith("frame2.png is number 1, where the order of letters has frame10.png")
    assert describe_order(sort_images(Path(f"{number:03d}.png") for number in range(12))) == ()


def test_a_folder_of_frames_is_read_in_order(tmp_path: Path) -> None:
    folder = make_plain(tmp_path / "own", "500 500 330 240", count=12)
    sequence = taken(folder)
    assert [frame.image.stem for frame in sequence.frames] == [str(place) for place in range(12)]
    assert "2.png is number 2" in sequence.notes[0]


def test_tartanair_and_training_are_read_in_order(tmp_path: Path) -> None:
    from slam.train.scene import read_scene

    folder = make_tartanair(tmp_path / "P000", count=12)
    for path in [*folder.rglob("*.png"), *folder.rglob("*.npy")]:
        number, _, rest = path.name.partition("_")
        path.rename(path.with_name(f"{int(number)}_{rest}"))
    stereo = open_sequence(folder, Choice(mode="stereo"))
    for place, frame in enumerate(stereo.frames):
        assert frame.right is not None
        assert (frame.image.name, frame.right.name) == (f"{place}_left.png", f"{place}_right.png")
    footage = make_footage(tmp_path / "wall", frames=12)
    for path in (*footage.glob("images/*"), *footage.glob("depths/*")):
        path.rename(path.with_name(f"{int(path.stem)}{path.suffix}"))
    scene = read_scene(footage, "footage", "wall", None)
    assert [path.stem for path in scene.images] == [str(place) for place in range(12)]
    assert [path.stem for path in scene.depths] == [str(place) for place in range(12)]


@pytest.mark.parametrize(
    ("stamp", "seconds"),
    [
        ("1403636579763555584", "1403636579.763555584"),
        ("1403636579763555", "1403636579.763555"),
        ("1403636579763.5", "1403636579.7635"),
        ("1.403636579763555584e18", "1403636579.763555584"),
        ("1403636579.763555584", "1403636579.763555584"),
        ("1305031102", "1305031102"),
        ("0.10", "0.10"),
    ],
)
def test_nanoseconds_are_no_seconds(stamp: str, seconds: str) -> None:
    assert to_seconds(stamp, find_clock([Decimal(stamp)])) == seconds


def nanoseconds(folder: Path) -> Path:
    folder.mkdir()
    lines = []
    for place in range(4):
        Image.new("RGB", (64, 48)).save(folder / f"{place}.png")
        lines.append(f"{1403636579_000000000 + place * 50_000_000} {place}.png\n")
    (folder / "rgb.txt").write_text("".join(lines))
    (folder / "calib.txt").write_text("50 50 32 24\n")
    (folder / "groundtruth.txt").write_text(
        "".join(f"{line.split()[0]} {place} 0 0 0 0 0 1\n" for place, line in enumerate(lines))
    )
    return folder


def test_lists_and_trajectories_in_nanoseconds_are_read_in_seconds(tmp_path: Path) -> None:
    folder = nanoseconds(tmp_path / "cam0")
    sequence = taken(folder)
    assert sequence.stamps[:2] == ("1403636579.000000000", "1403636579.050000000")
    assert "1403636579000000000 is too large for seconds, and is taken for 1403636579" in sequence.notes[0]
    assert sequence.groundtruth is not None
    assert read_posefile(sequence.groundtruth).trajectory.stamps == sequence.stamps
    depth = (Frame(stamp="1403636579.06", image=Path("d")),)
    assert [frame.stamp for frame in add_depth(sequence.frames, depth, folder)] == ["1403636579.050000000"]


@pytest.mark.parametrize("name", ["../other/1.png", "/etc/1.png", "rgb/../../1.png", ".."])
def test_a_list_names_no_files_outside(tmp_path: Path, name: str) -> None:
    folder = nanoseconds(tmp_path / "cam0")
    (folder / "rgb.txt").write_text(f"1 0.png\n2 {name}\n")
    with pytest.raises(InputError, match=r"rgb.txt:2: .* is outside of .*/cam0; a list names"):
        read_frame_list(folder)


def test_a_list_may_name_files_in_folders_of_the_folder(tmp_path: Path) -> None:
    folder = nanoseconds(tmp_path / "cam0")
    (folder / "..odd.png").write_bytes((folder / "0.png").read_bytes())
    (folder / "rgb.txt").write_text("1 ./0.png\n2 rgb/../1.png\n3 ..odd.png\n")
    (folder / "rgb").mkdir()
    assert len(read_frame_list(folder)[0]) == 3


def test_a_file_that_a_list_names_twice_is_taken_once(tmp_path: Path) -> None:
    """COLMAP came down over two images of one name when it undistorted them."""
    folder = nanoseconds(tmp_path / "cam0")
    (folder / "rgb.txt").write_text("0.1 0.png\n0.2 1.png\n0.3 2.png\n0.4 0.png\n")
    sequence = taken(folder)
    assert [frame.image.name for frame in sequence.frames] == ["0.png", "1.png", "2.png"]
    assert "1 of 4 rows name a file that was named before (line 4)" in sequence.notes[0]
    with pytest.raises(InputError, match=r"1 of 4 rows name a file .* leave --strict out"):
        open_sequence(folder, Choice(as_taken=True, is_strict=True))


def test_a_list_is_brought_into_order(tmp_path: Path) -> None:
    folder = nanoseconds(tmp_path / "cam0")
    (folder / "rgb.txt").write_text("0.3 2.png\n0.1 0.png\n0.2 1.png\n0.2 3.png\nnan 3.png\n")
    sequence = taken(folder)
    names = [(frame.stamp, frame.image.name) for frame in sequence.frames]
    assert names == [("0.1", "0.png"), ("0.2", "1.png"), ("0.3", "2.png")]
    words = (
        "1 of 5 rows have a number that is not",
        "1 of 4 rows are earlier",
        "1 of 4 rows have a timestamp",
    )
    assert all(word in note for word, note in zip(words, sequence.notes, strict=False))
    with pytest.raises(InputError, match=r"rgb.txt: 1 of 5 rows .* leave --strict out"):
        open_sequence(folder, Choice(as_taken=True, is_strict=True))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig", "utf-8"])
def test_text_is_read_by_its_byte_order_mark(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "calib.txt").write_bytes("# Größe\r\n50 50 32 24\r\n".encode(encoding))
    assert read_lines(tmp_path / "calib.txt") == [(2, "50 50 32 24")]


def test_what_looks_like_utf_16_is_told(tmp_path: Path) -> None:
    (tmp_path / "calib.txt").write_bytes("50 50 32 24\n".encode("utf-16-le"))
    with pytest.raises(InputError, match="zero bytes in it, as in UTF-16 without a byte order mark"):
        read_lines(tmp_path / "calib.txt")


@pytest.mark.parametrize(
    "name",
    ["calib.yaml", "cameras.txt", "camera.json", "intrinsics.txt", "camchain-kalibr.yaml", "CALIB.YML"],
)
@pytest.mark.parametrize("place", [".", "images"])
def test_a_calibration_that_is_not_read_is_named(tmp_path: Path, name: str, place: str) -> None:
    folder = make_plain(tmp_path / "own", "500 500 330 240")
    (folder / place / name).write_text('{"fx": 500}\n')
    (note,) = taken(folder).notes
    assert note == f"seen and not read: {folder / place / name}"
    (folder / "calib.txt").unlink()
    assert taken(folder).notes == (note,)
    with pytest.raises(InputError, match=rf"the camera is unknown; write .*; seen and not read: .*{name}"):
        open_sequence(folder, Choice())


def test_a_calibration_above_a_sequence_is_used(tmp_path: Path) -> None:
    top = tmp_path / "data" / "set"
    folder = make_plain(top / "walk" / "own", "500 500 330 240")
    above = top / "calib.txt"
    (folder / "calib.txt").rename(above)
    (tmp_path / "data" / "calib.txt").write_text("not the dataset's")
    sequence = taken(folder, top)
    assert sequence.notes == ()
    assert sequence.calibration == f"{above} (numbers): pinhole, fx 500.000 fy 500.000 cx 330.000 cy 240.000"
    # The nearest counts, and the sequence's own is nearest.
    (top / "walk" / "calib.txt").write_text("510 510 330 240\n")
    assert taken(folder, top).calibration.startswith(str(top / "walk" / "calib.txt"))
    (folder / "calib.txt").write_text("520 520 330 240\n")
    assert taken(folder, top).calibration.startswith(str(folder / "calib.txt"))


@pytest.mark.parametrize(
    ("files", "why"),
    [
        ({"calib.txt": "500 500 3300 240\n"}, r"the principal point \(3300, 240\) is outside the 657x481"),
        ({"calib.txt": "500 500 330\n"}, "calib.txt:1: 3 numbers"),
        (
            {"cameras.txt": "1 PINHOLE 1280 720 9 9 640 360"},
            "for images of 1280x720, and these are 657x481",
        ),
        (
            {"K.txt": "500 500 330 240", "camera.txt": "490 490 330 240"},
            "two calibrations of different cameras",
        ),
    ],
)
def test_one_above_that_does_not_fit_is_said_to_be_unused(
    tmp_path: Path, files: dict[str, str], why: str
) -> None:
    folder = make_plain(tmp_path / "set" / "own", "500 500 330 240")
    (folder / "calib.txt").unlink()
    for name, content in files.items():
        (tmp_path / "set" / name).write_text(content)
    sequence = taken(folder, tmp_path / "set")
    assert (sequence.intrinsics, sequence.calibration) == (None, "")
    (note,) = sequence.notes
    assert re.match(rf"the calibration in {tmp_path}/set, above the sequence, is not used: .*{why}", note)
    with pytest.raises(InputError, match=rf"the camera is unknown; write .*{why}"):
        open_sequence(folder, Choice(top=tmp_path / "set"))


def test_what_is_read_is_not_told(tmp_path: Path) -> None:
    assert taken(make_eth3d(tmp_path / "bench")).notes == ()
    drone = make_tartanair(tmp_path / "P000")
    (drone / "calib.txt").write_text("320 320 320 240\n")
    assert taken(drone).notes == (f"seen and not read: {drone / 'calib.txt'}; the published camera is used",)


def test_pairs_without_an_inlier_are_not_counted(tmp_path: Path, slam) -> None:
    """Images that have nothing in common."""
    for place in range(4):
        pixels = np.random.default_rng(place).integers(0, 255, (48, 64, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).resize((256, 192), Image.Resampling.BICUBIC)
        (tmp_path / "set").mkdir(exist_ok=True)
        image.save(tmp_path / "set" / f"{place}.png")
    done = slam("--task", "infer", "--data-root", tmp_path, "--dataset", "set", "--out", tmp_path / "out")
    assert done.returncode == 3
    assert "6 pairs, 0 of them see the same things" in done.stdout


@pytest.mark.long
def test_12_bits_in_16_are_as_good_as_8(scene: Path, tmp_path: Path, slam) -> None:
    folder = tmp_path / "deep"
    (folder / "rgb").mkdir(parents=True)
    for name in ("rgb.txt", "calib.txt", "groundtruth.txt"):
        (folder / name).write_bytes((scene / name).read_bytes())
    for path in scene.glob("rgb/*.png"):
        grey = np.asarray(Image.open(path).convert("L")).astype(np.uint16)
        Image.fromarray(16 * grey).save(folder / "rgb" / path.name)
    words = ("--task", "infer", "--data-root", tmp_path, "--dataset", "deep", "--out", tmp_path / "out")
    done = slam(*words, "--max-frames", "5")
    assert (done.returncode, done.stderr) == (0, "")
    assert "note       images are grey with more than 8 bits: values from " in done.stdout
    assert "5 of 5 registered" in done.stdout
