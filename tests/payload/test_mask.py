"""Masks: what is black in them has no features, for COLMAP."""

import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from slam.dataset.layout import open_sequence
from slam.dataset.mask import read_mask, write_mask
from slam.dataset.sequence import Choice
from slam.engine.colmap.feature import extract_features
from slam.engine.colmap.image import link_images, write_masks
from slam.engine.colmap.project import Project
from slam.engine.estimate import Settings
from slam.errors import InputError
from tests.payload.datasets import make_plain, make_tum, save

SIZE = (320, 240)
TAKEN = Choice(as_taken=True)


@pytest.fixture
def walk(tmp_path: Path) -> Path:
    """Four images, of which the first three have a mask: its left half, all of it, and nothing is black."""
    folder = make_plain(tmp_path / "walk", "300 300 160 120", count=4, size=SIZE)
    half = np.full((240, 320), 255, dtype=np.uint8)
    half[:, :160] = 0
    save(folder / "masks" / "0.png.png", half)
    save(folder / "masks" / "1.png", np.zeros((240, 320, 3), dtype=np.uint8))
    save(folder / "masks" / "2.png.png", np.full((240, 320, 4), 1, dtype=np.uint8))
    return folder


def test_masks_are_found_by_their_names(walk: Path) -> None:
    sequence = open_sequence(walk, TAKEN)
    names = [frame.mask.name if frame.mask else None for frame in sequence.frames]
    assert names == ["0.png.png", "1.png", "2.png.png", None]
    assert f"{walk / 'masks'}: 3 of 4 images have a mask, 3.png has none" in sequence.notes
    others = open_sequence(walk, Choice())
    assert not any(frame.mask for frame in others.frames)
    assert f"{walk / 'masks'} is not used: this engine has no use for masks" in others.notes


def test_masks_of_other_names_are_told(walk: Path) -> None:
    for mask in list((walk / "masks").iterdir()):
        mask.rename(mask.with_name(f"mask_{mask.name}"))
    notes = open_sequence(walk, TAKEN).notes
    assert any("0 of 4 images have a mask" in note and "called 0.png.png or 0.png" in note for note in notes)


def test_a_list_of_images_has_masks_too(tmp_path: Path) -> None:
    folder = make_tum(tmp_path / "rgbd_dataset_freiburg1_xyz", count=3)
    for path in (folder / "rgb").iterdir():
        save(folder / "masks" / f"{path.name}.png", np.zeros((480, 640), dtype=np.uint8))
    assert all(frame.mask for frame in open_sequence(folder, TAKEN).frames)


def test_colmap_finds_nothing_where_a_mask_is_black(walk: Path, tmp_path: Path) -> None:
    import pycolmap

    sequence = open_sequence(walk, TAKEN)
    names = link_images(sequence, tmp_path / "images")
    project = Project(
        sequence=sequence,
        settings=Settings(threads=1),
        images=tmp_path / "images",
        names=names,
        masks=write_masks(sequence, names, tmp_path / "masks"),
        pixels="",
        database=tmp_path / "database.db",
    )
    with pycolmap.Database.open(project.database) as database:
        extract_features(project, database)
    with sqlite3.connect(project.database) as rows:
        found = rows.execute("SELECT name, rows, cols, data FROM images NATURAL JOIN keypoints ORDER BY name")
        points = {
            name: np.frombuffer(data or b"", np.float32).reshape(count, columns)[:, :2]
            for name, count, columns, data in found
        }
    counts = [len(points[name]) for name in names]
    assert counts[1] == 0
    assert min(counts[0], counts[2], counts[3]) > 50
    assert points[names[0]][:, 0].min() >= 160 > points[names[3]][:, 0].min()


def test_a_mask_of_another_size_is_told(walk: Path) -> None:
    save(walk / "masks" / "3.png", np.zeros((320, 240), dtype=np.uint8))
    with pytest.raises(
        InputError,
        match=r"3\.png is 240x320, and its image 3\.png 320x240; masks are for upright images, as a viewer",
    ):
        open_sequence(walk, TAKEN)
    save(walk / "masks" / "3.png", np.zeros((24, 32), dtype=np.uint8))
    with pytest.raises(InputError, match=r"3\.png is 32x24, and its image 3\.png 320x240; make it the same"):
        open_sequence(walk, TAKEN)


@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "RGBA", "I;16"])
def test_masks_of_any_depth_are_read(tmp_path: Path, mode: str) -> None:
    """Black is ignored, the darkest grey is not; transparency does not count."""
    black = np.zeros((4, 6), dtype=np.uint8)
    black[1, 2] = 255 if mode == "1" else 1
    if mode == "I;16":
        image = Image.fromarray(black.astype(np.uint16))
    else:
        image = Image.fromarray(black).convert(mode)
    image.save(tmp_path / "mask.png")
    write_mask(read_mask(tmp_path / "mask.png", (6, 4)), tmp_path / "written.png")
    written = Image.open(tmp_path / "written.png")
    assert written.mode == "L"
    assert np.argwhere(np.asarray(written) == 255).tolist() == [[1, 2]]
