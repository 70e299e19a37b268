from pathlib import Path

import pytest
from PIL import Image

from slam.dataset.files import find_folder
from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice, Sequence
from slam.errors import InputError
from tests.payload.datasets import make_eth3d, make_euroc, make_tartanair


def read_sequence(folder: Path, **choice: int) -> Sequence:
    """As COLMAP takes it."""
    return open_sequence(folder, Choice(as_taken=True, **choice))  # type: ignore[arg-type]


@pytest.fixture
def tum(tmp_path: Path) -> Path:
    """A TUM folder whose file names do not sort in time order."""
    folder = tmp_path / "rgbd_dataset_freiburg1_xyz"
    (folder / "rgb").mkdir(parents=True)
    for name in ("9", "10", "11", "12"):
        Image.new("RGB", (640, 480)).save(folder / "rgb" / f"{name}.png")
    (folder / "rgb.txt").write_text(
        "# color images\n"
        "# timestamp filename\n"
        "1305031102.175304 rgb/9.png\n"
        "1305031102.211214 rgb/10.png\n"
        "\n"
        "1305031102.243210 rgb/11.png\n"
        "1305031102.275300 rgb/12.png\n"
    )
    return folder


def test_reads_a_tum_folder_in_its_own_order_and_words(tum: Path) -> None:
    sequence = read_sequence(tum)
    assert [frame.stamp for frame in sequence.frames] == [
        "1305031102.175304",
        "1305031102.211214",
        "1305031102.243210",
        "1305031102.275300",
    ]
    assert [frame.image.name for frame in sequence.frames] == ["9.png", "10.png", "11.png", "12.png"]
    assert (sequence.width, sequence.height, sequence.is_video) == (640, 480, True)
    assert sequence.intrinsics is not None
    assert sequence.intrinsics.fx == 517.3
    assert sequence.groundtruth is None
    assert sequence.units.length == "m"


def test_calib_txt_comes_before_the_name(tum: Path) -> None:
    (tum / "calib.txt").write_text("400 400 320 240\n")
    intrinsics = read_sequence(tum).intrinsics
    assert intrinsics is not None
    assert intrinsics.fx == 400


def test_a_video_needs_a_camera_for_droid(tum: Path) -> None:
    renamed = tum.rename(tum.with_name("kitchen"))
    with pytest.raises(InputError, match="kitchen: the camera is unknown; write `fx fy cx cy"):
        open_sequence(renamed, Choice())
    colmap = read_sequence(renamed)
    assert (colmap.intrinsics, colmap.calibration) == (None, "")


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("1305031102.3 rgb/13.png", r"rgb.txt:9: the image .*rgb/13.png does not exist"),
        ("1305031102.3", r"rgb.txt:9: '1305031102.3'; expected `timestamp filename`"),
        ("now rgb/9.png", r"rgb.txt:9: 'now rgb/9.png'; expected `timestamp filename`"),
    ],
)
def test_says_which_line_of_rgb_txt_is_wrong(tum: Path, line: str, message: str) -> None:
    with (tum / "rgb.txt").open("a") as file:
        file.write(f"# more\n{line}\n")
    with pytest.raises(InputError, match=message):
        read_sequence(tum)


@pytest.mark.parametrize(
    ("line", "note"),
    [
        ("inf rgb/9.png", "have a number that is not finite (line 9); they are left out"),
        ("1305031102.2 rgb/9.png", "are earlier than the one before (line 9); all are sorted by their"),
        (
            "1305031102.275300\trgb/9.png",
            "have a timestamp that was there before (line 9); the first",
        ),
    ],
)
def test_a_line_of_rgb_txt_that_does_not_fit_is_told_and_strict_refuses_it(
    tum: Path, line: str, note: str
) -> None:
    with (tum / "rgb.txt").open("a") as file:
        file.write(f"# more\n{line}\n")
    sequence = read_sequence(tum)
    assert [text for text in sequence.notes if f"rgb.txt: 1 of 5 rows {note}" in text]
    times = [float(frame.stamp) for frame in sequence.frames]
    assert times == sorted(set(times))
    with pytest.raises(InputError, match=r"rgb.txt: 1 of 5 rows .*; correct the file, or leave --strict out"):
        read_sequence(tum, is_strict=True)


def test_a_tum_folder_needs_its_list(tum: Path) -> None:
    (tum / "rgb.txt").unlink()
    with pytest.raises(InputError, match=r"rgb.txt is missing; it holds `timestamp filename`"):
        read_sequence(tum)


def test_takes_every_nth_image_up_to_a_number(tum: Path, photos: Path) -> None:
    with pytest.raises(
        InputError, match=r"2 of 4 images are taken \(every 2\. from place 0 on\), and at least 3 are needed"
    ):
        read_sequence(tum, stride=2)
    assert [frame.image.name for frame in read_sequence(photos, max_frames=3).frames] == [
        "a.jpg",
        "b.png",
        "c.JPG",
    ]


def test_a_stride_keeps_the_places_in_name_order(tmp_path: Path) -> None:
    for place in range(10):
        Image.new("L", (20, 10)).save(tmp_path / f"{place:02d}.png")
    frames = read_sequence(tmp_path, stride=3, max_frames=3).frames
    assert [(frame.stamp, frame.image.name) for frame in frames] == [
        ("0.0", "00.png"),
        ("3.0", "03.png"),
        ("6.0", "06.png"),
    ]


def test_reads_a_folder_of_photos_in_name_order(photos: Path) -> None:
    (photos / ".hidden.png").write_bytes(b"not an image")
    (photos / "notes.md").write_text("taken on a Sunday")
    sequence = read_sequence(photos)
    assert [(frame.stamp, frame.image.name) for frame in sequence.frames] == [
        ("0.0", "a.jpg"),
        ("1.0", "b.png"),
        ("2.0", "c.JPG"),
        ("3.0", "d.png"),
    ]
    assert (sequence.width, sequence.height, sequence.is_video) == (40, 30, False)
    assert sequence.groundtruth == photos / "groundtruth.txt"
    assert sequence.units.length == "units"


def test_finds_photos_in_images(photos: Path) -> None:
    (photos / "images").mkdir()
    for path in [*photos.glob("*.png"), *photos.glob("*.[jJ]*")]:
        path.rename(photos / "images" / path.name)
    sequence = read_sequence(photos)
    assert [frame.image.parent.name for frame in sequence.frames] == ["images"] * 4
    assert sequence.intrinsics is not None


def test_photos_need_no_camera(photos: Path) -> None:
    (photos / "calib.txt").unlink()
    assert read_sequence(photos).intrinsics is None


def test_a_camera_of_another_size_is_refused(photos: Path) -> None:
    (photos / "calib.txt").write_text("500 500 320 240\n")
    with pytest.raises(InputError, match=r"\(320, 240\) is outside the 40x30 images"):
        read_sequence(photos)


def test_images_of_two_sizes_are_refused(photos: Path) -> None:
    Image.new("RGB", (30, 40)).save(photos / "c.JPG")
    with pytest.raises(InputError, match=r"c.JPG is 30x40, but a.jpg is 40x30"):
        read_sequence(photos)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda _: b"",
        lambda _: b"GIF89a???",
        lambda _: b"P6\n4 x\n255\n",
    ],
)
def test_a_broken_image_is_refused(photos: Path, spoil) -> None:
    broken = photos / "b.png"
    broken.write_bytes(spoil(broken.read_bytes()))
    with pytest.raises(InputError, match=r"b.png: not a readable image"):
        read_sequence(photos)


def test_a_folder_without_images_names_its_folders(tmp_path: Path) -> None:
    for name in ("seq2", "seq1"):
        (tmp_path / "set" / name).mkdir(parents=True)
    with pytest.raises(InputError, match=r"set: no images .*no sequence in its folders .seq1, seq2.; "):
        read_sequence(tmp_path / "set")


def test_finds_a_sequence_in_a_dataset(tum: Path) -> None:
    assert find_folder(tum.parent.parent, tum.parent.name, tum.name) == tum


def test_says_what_there_is_when_a_dataset_is_not(tmp_path: Path) -> None:
    for name in ("lund_door", "room", ".cache"):
        (tmp_path / name).mkdir()
    with pytest.raises(InputError) as caught:
        find_folder(tmp_path, "lund_dor")
    assert str(caught.value) == (
        f"dataset 'lund_dor' is not in {tmp_path} (did you mean 'lund_door'?), which has lund_door, room; "
        "`invoke stage FOLDER --name lund_dor` brings it to the cluster"
    )
    with pytest.raises(InputError, match="which has no folders at all"):
        find_folder(tmp_path / "room", "x")
    with pytest.raises(InputError, match=r"the folder .*/nowhere it should be in does not exist"):
        find_folder(tmp_path / "nowhere", "x")


@pytest.mark.parametrize(
    ("make", "size", "focal_length", "length"),
    [
        (make_euroc, (752, 480), 458.654, 4),
        (make_tartanair, (640, 480), 320.0, 3),
        (make_eth3d, (739, 458), 726.21081542969, 3),
    ],
)
def test_colmap_gets_every_layout_as_it_was_taken(
    tmp_path: Path, make, size: tuple[int, int], focal_length: float, length: int
) -> None:
    sequence = read_sequence(make(tmp_path / "sequence"))
    assert ((sequence.width, sequence.height), sequence.length) == (size, length)
    assert sequence.intrinsics is not None
    assert (sequence.intrinsics.fx, sequence.is_video, tuple(sequence.pictures)) == (focal_length, True, ())
