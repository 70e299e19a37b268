from pathlib import Path

import pytest

from slam.dataset.catalog import find_sequences, match
from slam.errors import InputError
from tests.payload.datasets import make_tartanair, make_tum

NAMES = (
    "rgbd_dataset_freiburg1_desk",
    "rgbd_dataset_freiburg1_desk2",
    "rgbd_dataset_freiburg1_xyz",
    "rgbd_dataset_freiburg2_xyz",
    "V1_01_easy",
    "V1_02_medium",
    "hospital/Easy/P000",
    "hospital/Hard/P000",
)


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("rgbd_dataset_freiburg1_xyz", [2]),
        ("freiburg1_desk", [0]),
        ("fr1/desk2", [1]),
        ("FR1_xyz", [2]),
        ("desk", [0]),
        ("xyz", [2, 3]),
        ("V1_01", [4]),
        ("V1", [4, 5]),
        ("easy/P000", [6]),
        ("P000", [6, 7]),
        ("des", []),
        ("/", []),
    ],
)
def test_a_short_name_stands_for(word: str, meant: list[int]) -> None:
    assert match(word, NAMES) == tuple(NAMES[place] for place in meant)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("rgbd_dataset_freiburg1_desk", "rgbd_dataset_freiburg1_xyz", "rgbd_dataset_freiburg2_xyz"):
        make_tum(tmp_path / "tum" / name, count=1, size=(64, 48))
    (tmp_path / "tum" / "notes").mkdir()
    make_tartanair(tmp_path / "air" / "hospital" / "hospital" / "Easy" / "P000", count=1)
    return tmp_path


def names(root: Path, dataset: str, *wanted: str) -> list[str]:
    return [one.name for one in find_sequences(root, dataset, wanted)]


def test_all_that_are_staged_are_found(root: Path) -> None:
    assert names(root, "tum") == [
        "rgbd_dataset_freiburg1_desk",
        "rgbd_dataset_freiburg1_xyz",
        "rgbd_dataset_freiburg2_xyz",
    ]
    assert names(root, "air") == ["hospital/hospital/Easy/P000"]


def test_chosen_ones_come_in_the_order_asked_for_and_once(root: Path) -> None:
    assert names(root, "tum", "fr2/xyz", "desk", "freiburg2_xyz") == [
        "rgbd_dataset_freiburg2_xyz",
        "rgbd_dataset_freiburg1_desk",
    ]


def test_a_dataset_may_be_a_sequence(root: Path) -> None:
    (only,) = find_sequences(root / "tum", "rgbd_dataset_freiburg1_xyz")
    assert only.folder == root / "tum" / "rgbd_dataset_freiburg1_xyz"


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("xyz", "'xyz' may be rgbd_dataset_freiburg1_xyz, rgbd_dataset_freiburg2_xyz of .*write more"),
        ("dess", r"'dess' is not in .*tum \(did you mean 'rgbd_dataset_freiburg1_desk'\?\), which has rgbd_"),
        ("room", "'room' is not in .*tum, which has rgbd_dataset_freiburg1_desk, "),
    ],
)
def test_a_name_that_fits_none_or_several(root: Path, name: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        find_sequences(root, "tum", (name,))


def test_a_dataset_that_is_not_staged(root: Path) -> None:
    with pytest.raises(InputError, match=r"dataset 'tun' is not in .* \(did you mean 'tum'\?\)"):
        find_sequences(root, "tun")
