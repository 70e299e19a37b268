from pathlib import Path

import pytest

from slipway.code.look import look_of
from slipway.code.size_limit import Bulk, describe_heaviest, parse_limit


@pytest.mark.parametrize(
    ("text", "size_bytes", "files"),
    [("200M", 200_000_000, 20_000), ("1g", 10**9, 100_000), ("30K", 30_000, 3), ("5000", 5_000, 0)],
)
def test_a_limit_is_for_bytes_and_for_files(text: str, size_bytes: int, files: int) -> None:
    assert parse_limit(text) == Bulk(files=files, size_bytes=size_bytes)


def test_bulks_are_told_in_units() -> None:
    told = [str(Bulk(files=files, size_bytes=size)) for files, size in ((1, 999), (31_222, 1_300_000_000))]
    assert told == ["999 B in 1 file", "1.3 GB in 31,222 files"]
    assert str(parse_limit("200M")) == "200.0 MB in 20,000 files"


def test_either_number_may_be_too_large() -> None:
    limit = Bulk(files=2, size_bytes=10)
    bulks = [limit, Bulk(files=3, size_bytes=1), Bulk(files=1, size_bytes=11)]
    assert [bulk.is_within(limit) for bulk in bulks] == [True, False, False]


def test_links_have_no_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"12345")
    (tmp_path / "b").symlink_to("a")
    (tmp_path / "c").mkdir()
    sizes = {name: look_of((tmp_path / name).lstat()).size_bytes for name in ("a", "b", "c")}
    assert sizes == {"a": 5, "b": 0, "c": 0}


def test_the_worst_comes_first_and_is_named_where_it_is() -> None:
    bulks = {
        "main.py": Bulk(files=1, size_bytes=10),
        "model.pth": Bulk(files=1, size_bytes=5_000_000),
        "src/pkg/a.py": Bulk(files=1, size_bytes=10),
        "src/pkg/data\n/raw.bin": Bulk(files=1, size_bytes=9_000_000),
        "src/pkg/data\n/more.bin": Bulk(files=1, size_bytes=8_000_000),
        **{f"small/{number}": Bulk(files=1, size_bytes=1) for number in range(30)},
        **{f"{letter}/x": Bulk(files=1, size_bytes=0) for letter in "pqrs"},
    }
    limit = Bulk(files=100, size_bytes=1_000_000)
    assert describe_heaviest(bulks, limit)[:3] == [
        "'src/pkg/data\\n'/: 17.0 MB in 2 files",
        "model.pth: 5.0 MB",
        "small/: 30 B in 30 files",
    ]
    assert len(describe_heaviest(bulks, limit)) == 5
    assert describe_heaviest(bulks, Bulk(files=3, size_bytes=10**9))[0] == "small/: 30 B in 30 files"
