"""Images that a camera stored turned, and grey ones with more than 8 bits: both engines, all formats."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from PIL import Image

from slam.dataset.camera import Intrinsics, describe_middle
from slam.dataset.geometry import fit_usual_area
from slam.dataset.image import read_color, read_depth, read_header, write_upright
from slam.dataset.layout import open_sequence
from slam.dataset.sequence import Choice, ValueRange
from slam.engine.colmap.image import link_images
from slam.errors import InputError
from tests.payload.datasets import make_plain, make_tartanair, noise, save

# What a camera does to an upright image before it stores it, by the orientation that it writes (EXIF 4.6.4).
STORED = {
    1: lambda pixels: pixels,
    2: lambda pixels: pixels[:, ::-1],
    3: lambda pixels: pixels[::-1, ::-1],
    4: lambda pixels: pixels[::-1],
    5: lambda pixels: pixels.swapaxes(0, 1),
    6: lambda pixels: pixels.swapaxes(0, 1)[::-1],
    7: lambda pixels: pixels[::-1, ::-1].swapaxes(0, 1),
    8: lambda pixels: pixels.swapaxes(0, 1)[:, ::-1],
}
LOSSLESS = ("png", "tif", "webp")
# Their loss is in the way from RGB to YCbCr and back, of 8 bits each.
QUALITY = {
    ".jpg": {"quality": 100, "subsampling": 0},
    ".webp": {"lossless": True},
    ".avif": {"quality": 100, "subsampling": "4:4:4"},
    ".heic": {"quality": 100, "chroma": 444},
}


def store(path: Path, upright: np.ndarray, orientation: int) -> Path:
    exif = Image.Exif()
    exif[0x0112] = orientation
    exif[0x0110] = "a camera"
    stored = Image.fromarray(np.ascontiguousarray(STORED[orientation](upright)))
    if path.suffix == ".heic":
        pillow_heif.register_heif_opener()
    stored.save(path, exif=exif.tobytes(), **QUALITY.get(path.suffix, {}))
    return path


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("ending", [*LOSSLESS, "jpg", "avif", "heic"])
def test_an_image_is_read_upright(tmp_path: Path, ending: str, orientation: int) -> None:
    upright = noise((48, 32), 1)
    path = store(tmp_path / f"a.{ending}", upright, orientation)
    header = read_header(path)
    # The library that reads HEIC turns it.
    assert (header.size, header.is_turned) == ((48, 32), orientation != 1 and ending != "heic")
    pixels = read_color(path, (48, 32))[:, :, ::-1].astype(int)
    assert np.abs(pixels - upright).max() <= (0 if ending in LOSSLESS else 6)


@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("compression", [None, "tiff_lzw"])
def test_a_tiff_is_turned_and_written_for_colmap(tmp_path: Path, mode: str, compression: str | None) -> None:
    pixels = np.random.default_rng(1).integers(0, 255, (24, 32), dtype=np.uint8)
    upright = Image.fromarray(pixels).convert(mode)
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x0110: "Camera"})
    stored = upright.transpose(Image.Transpose.ROTATE_90)
    stored.save(tmp_path / "a.tif", exif=exif, compression=compression)
    write_upright(tmp_path / "a.tif", tmp_path / "a.png", None)
    with Image.open(tmp_path / "a.png") as written:
        assert np.array_equal(np.asarray(written), np.asarray(upright))
        # Where a TIFF keeps its pixels is no word of a PNG: COLMAP would not read it.
        assert dict(written.getexif()) == {0x0110: "Camera"}


@pytest.mark.parametrize("ending", ["png", "tif", "jpg", "bmp", "ppm"])
def test_an_image_without_an_orientation_is_as_it_is(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"a.{ending}"
    Image.fromarray(noise((48, 32), 1)).save(path, **({"quality": 100} if ending == "jpg" else {}))
    assert read_header(path).size == (48, 32)
    assert not read_header(path).is_turned
    assert read_color(path, (48, 32)).shape == (32, 48, 3)


def test_an_exif_that_is_broken_or_says_nothing_known_leaves_an_image_as_it_is(tmp_path: Path) -> None:
    for number, exif in enumerate((b"Exif\0\0MM\0*\0\0\0\x08\xff\xff", b"Exif\0\0MM\0*")):
        path = tmp_path / f"{number}.jpg"
        Image.new("RGB", (48, 32)).save(path, exif=exif)
        assert read_header(path).size == (48, 32)
    assert not read_header(store(tmp_path / "a.png", noise((48, 32), 1), 1)).is_turned


def mixed(folder: Path, size: tuple[int, int] = (96, 160)) -> list[np.ndarray]:
    """Every orientation in every format, and one image without any; the upright images."""
    (folder / "images").mkdir(parents=True)
    kinds = [(orientation, ending) for orientation in STORED for ending in ("png", "tif", "jpg")]
    images = [noise(size, place) for place in range(len(kinds) + 1)]
    for place, (orientation, ending) in enumerate(kinds):
        store(folder / "images" / f"{place:02d}.{ending}", images[place], orientation)
    Image.fromarray(images[-1]).save(folder / "images" / f"{len(kinds)}.bmp")
    (folder / "calib.txt").write_text("150 150 48 80\n")
    return images


def test_both_engines_get_the_same_upright_images_of_a_mixed_folder(tmp_path: Path) -> None:
    images = mixed(tmp_path / "phone")
    taken = open_sequence(tmp_path / "phone", Choice(as_taken=True))
    assert (taken.width, taken.height) == (96, 160)
    assert taken.notes[0].startswith("21 of 25 images are stored turned, and are read upright")
    names = link_images(taken, tmp_path / "colmap")
    prepared = open_sequence(tmp_path / "phone", Choice())
    assert prepared.notes == taken.notes
    preparation = fit_usual_area(Intrinsics(fx=150, fy=150, cx=48, cy=80), (96, 160))
    for name, picture, upright in zip(names, prepared.pictures, images, strict=True):
        given = np.asarray(Image.open(tmp_path / "colmap" / name)).astype(int)
        assert np.abs(given - upright).max() <= (6 if (picture.index % 3) == 2 else 0)
        np.testing.assert_array_equal(picture.image, preparation.image(given[:, :, ::-1].astype(np.uint8)))


def test_what_is_not_turned_is_not_written_again(tmp_path: Path) -> None:
    mixed(tmp_path / "phone")
    names = link_images(open_sequence(tmp_path / "phone", Choice(as_taken=True)), tmp_path / "colmap")
    links = [name for name in names if (tmp_path / "colmap" / name).is_symlink()]
    assert links == ["000000.png", "000001.tif", "000002.jpg", "000024.bmp"]


@pytest.mark.parametrize("ending", ["webp", "avif", "heic"])
def test_photographs_of_phones_are_written_for_colmap(tmp_path: Path, ending: str) -> None:
    """Upright and without a further loss, with the focal length that COLMAP begins with."""
    pillow_heif.register_heif_opener()
    exif = Image.Exif()
    exif.update({0x0112: 6, 0x0110: "a phone"})
    exif.get_ifd(0x8769)[0xA405] = 26  # FocalLengthIn35mmFilm
    for place in range(3):
        image = Image.fromarray(noise((48, 32), place))
        image.save(
            tmp_path / f"{place}.{ending.upper()}", format=ending.replace("heic", "heif"), exif=exif.tobytes()
        )
    sequence = open_sequence(tmp_path, Choice(as_taken=True))
    assert (sequence.width, sequence.height, sequence.length) == (32, 48, 3)
    names = link_images(sequence, tmp_path / "colmap")
    assert names == ("000000.png", "000001.png", "000002.png")
    for name, frame in zip(names, sequence.frames, strict=True):
        with Image.open(tmp_path / "colmap" / name) as written:
            pixels = np.asarray(written)
            assert written.getexif().get_ifd(0x8769) == {0xA405: 26}
        np.testing.assert_array_equal(pixels[:, :, ::-1], read_color(frame.image, (32, 48)))


def test_a_heic_without_its_library_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = store(tmp_path / "a.heic", noise((48, 32), 1), 1)
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(
        InputError, match="reading HEIC needs pillow-heif, which is not here; build the image"
    ):
        read_header(path)


def test_what_else_a_camera_wrote_beside_an_image_stays(tmp_path: Path) -> None:
    mixed(tmp_path / "phone")
    link_images(open_sequence(tmp_path / "phone", Choice(as_taken=True)), tmp_path / "colmap")
    with Image.open(tmp_path / "colmap" / "000017.png") as image:
        assert dict(image.getexif()) == {0x0110: "a camera"}


@pytest.mark.long
def test_colmap_makes_the_same_of_turned_images(scene: Path, tmp_path: Path, slam) -> None:
    turned = tmp_path / "turned"
    shutil.copytree(scene, turned)
    orientations = (6, 3, 1, 8, 5)
    for orientation, path in zip(orientations, sorted(turned.glob("rgb/*.png")), strict=False):
        store(path, np.asarray(Image.open(path)), orientation)
    for folder in (scene, turned):
        done = slam(
            *("--task", "infer", "--data-root", folder.parent, "--dataset", folder.name),
            *("--threads", "1", "--max-frames", "5", "--out", tmp_path / "out" / folder.name),
        )
        assert (done.returncode, done.stderr) == (0, "")
    assert "note       4 of 5 images are stored turned" in done.stdout
    first, second = (tmp_path / "out" / folder.name / "trajectory.tum" for folder in (scene, turned))
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("middle", "size", "words"),
    [
        ((318.6, 255.3), (640, 480), None),
        ((367.2, 248.4), (752, 480), None),
        ((320, 240), (480, 640), "it looks like one for 640x480 images, those of the camera turned"),
        ((960, 540), (1080, 1920), "it looks like one for 1920x1080 images"),
        (
            (100, 240),
            (640, 480),
            "the principal point (100, 240) is far from the middle of the 640x480",
        ),
    ],
)
def test_a_middle_that_is_far_off_is_told(
    middle: tuple[float, float], size: tuple[int, int], words: str | None
) -> None:
    notes = describe_middle(Intrinsics(fx=500, fy=500, cx=middle[0], cy=middle[1]), size)
    assert (words in notes[0]) if words else notes == ()


def deep(folder: Path, low: int, high: int, ending: str = "png") -> list[np.ndarray]:
    """Grey images whose values take up a part of 16 bits; one of them is darker than the others."""
    (folder / "images").mkdir(parents=True)
    small = [noise((160, 96), place)[:, :, 0] / 255 / (1 + (place == 1)) for place in range(4)]
    images = [np.rint(low + (high - low) * image).astype(np.uint16) for image in small]
    for place, image in enumerate(images):
        Image.fromarray(image).save(folder / "images" / f"{place}.{ending}")
    (folder / "calib.txt").write_text("150 150 80 48\n")
    return images


@pytest.mark.parametrize("ending", ["png", "tif"])
@pytest.mark.parametrize(("low", "high"), [(0, 4095), (21000, 24000), (0, 65535)])
def test_more_than_8_bits_are_scaled_by_one_range(tmp_path: Path, low: int, high: int, ending: str) -> None:
    images = deep(tmp_path / "grey", low, high, ending)
    taken = open_sequence(tmp_path / "grey", Choice(as_taken=True))
    assert taken.values is not None
    span = high - low
    assert taken.values.low == pytest.approx(low, abs=0.15 * span)
    assert taken.values.high == pytest.approx(high, abs=0.15 * span)
    assert "grey with more than 8 bits" in taken.notes[0]
    for name, image in zip(link_images(taken, tmp_path / "colmap"), images, strict=True):
        given = np.asarray(Image.open(tmp_path / "colmap" / name)).astype(float)
        scaled = 255 * (image - taken.values.low) / (taken.values.high - taken.values.low)
        np.testing.assert_allclose(given, np.clip(scaled, 0, 255), atol=0.51)
        pixels = read_color(
            tmp_path / "grey" / "images" / f"{int(name[:6])}.{ending}", (160, 96), taken.values
        )
        np.testing.assert_array_equal(pixels, np.repeat(given[:, :, None], 3, 2))
    bright = [picture.image.max() for picture in open_sequence(tmp_path / "grey", Choice()).pictures]
    assert bright[1] < 160 < min(bright[0], bright[2])  # what is darker stays darker


def test_a_hot_pixel_leaves_the_range_as_it_is(tmp_path: Path) -> None:
    deep(tmp_path / "grey", 0, 4095)
    path = tmp_path / "grey" / "images" / "0.png"
    pixels = np.array(Image.open(path))
    pixels[3, 3] = 65535
    Image.fromarray(pixels).save(path)
    values = open_sequence(tmp_path / "grey", Choice(as_taken=True)).values
    assert values is not None
    assert values.high < 4100


def test_grey_images_without_any_contrast_are_black(tmp_path: Path) -> None:
    Image.fromarray(np.full((96, 160), 7, np.uint16)).save(tmp_path / "a.png")
    assert read_color(tmp_path / "a.png", (160, 96), ValueRange(low=7, high=7)).max() == 0


def test_depth_is_no_deep_image(tmp_path: Path) -> None:
    Image.fromarray(np.full((96, 160), 5000, np.uint16)).save(tmp_path / "a.png")
    np.testing.assert_array_equal(read_depth(tmp_path / "a.png", (160, 96), 5000.0), np.ones((96, 160)))


def test_a_published_dataset_has_no_notes(tmp_path: Path) -> None:
    assert open_sequence(make_tartanair(tmp_path / "P000"), Choice()).notes == ()
    assert open_sequence(make_plain(tmp_path / "own", "500 500 330 240"), Choice()).notes == ()


def test_depth_among_colour_images_is_refused(tmp_path: Path) -> None:
    """As in folders of 7-Scenes and Replica, whose depth would be taken for more images."""
    for place in range(3):
        save(tmp_path / f"frame-{place}.color.png", noise((160, 96), place))
        save(tmp_path / f"frame-{place}.depth.png", np.full((96, 160), 900 + place, np.uint16))
    with pytest.raises(
        InputError, match=r"frame-0.depth.png and 2 more of 6 images are grey with more than 8 bits"
    ):
        open_sequence(tmp_path, Choice(as_taken=True))
