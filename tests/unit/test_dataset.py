from pathlib import Path

import pytest

from slipway.dataset.comparison import Comparison, believed, compare
from slipway.dataset.manifest import File, Manifest
from slipway.dataset.stage import check_dataset
from slipway.errors import DataError
from slipway.host.inventory import Entry, Kind


def a_file(digest: str = "d", size_bytes: int = 1, *, executable: bool = False) -> File:
    return File(sha256=digest, size_bytes=size_bytes, mtime_s=7, executable=executable)


def an_entry(
    kind: Kind = Kind.FILE, size_bytes: int = 1, mtime_s: int = 7, target: str | None = None
) -> Entry:
    return Entry(kind=kind, size_bytes=size_bytes, mtime_s=mtime_s, executable=False, target=target)


FOLDER = an_entry(Kind.FOLDER, 4096)


def found(
    here: Manifest, there: dict[str, Entry], digests: dict[str, str] | None = None
) -> dict[str, set[str]]:
    compared: Comparison = compare(here, there, digests or {})
    return {name: set(names) for name, names in vars(compared).items() if names}


def test_what_is_the_same_is_nothing() -> None:
    here = Manifest(files={"a/b": a_file()}, links={"l": "a"}, folders=["e"])
    there = {"a": FOLDER, "a/b": an_entry(), "l": an_entry(Kind.LINK, target="a"), "e": FOLDER}
    assert found(here, there, {"a/b": "d"}) == {}


@pytest.mark.parametrize(
    ("file", "entry", "digest"),
    [
        (a_file(), an_entry(), "other"),
        (a_file(), an_entry(), None),
        (a_file(), an_entry(size_bytes=2), "d"),
        (a_file(executable=True), an_entry(), "d"),
        (a_file(), an_entry(Kind.OTHER), "d"),
        (a_file(), an_entry(Kind.LINK, target="x"), "d"),
    ],
)
def test_what_differs_is_sent(file: File, entry: Entry, digest: str | None) -> None:
    digests = {} if digest is None else {"a": digest}
    assert found(Manifest(files={"a": file}), {"a": entry}, digests) == {"send": {"a"}}


def test_types_that_change() -> None:
    here = Manifest(files={"was_folder": a_file(), "was_file/x": a_file()}, links={"was_deep": "x"})
    there = {
        "was_folder": FOLDER,
        "was_folder/x": an_entry(),
        "was_folder/sub": FOLDER,
        "was_file": an_entry(),
        "was_deep": FOLDER,
        "more": an_entry(),
        "gone": FOLDER,
    }
    assert found(here, there) == {
        "send": {"was_folder", "was_file/x", "was_deep"},
        "make": {"was_file"},
        "blocking": {"was_file"},
        "blocking_folders": {"was_folder", "was_folder/sub", "was_deep"},
        "blocked": {"was_folder/x"},
        "surplus": {"was_folder/x", "more"},
        "surplus_folders": {"was_folder/sub", "gone"},
    }
    assert compare(here, there, {}).listed_surplus == ["gone", "more", "was_folder/sub", "was_folder/x"]


def test_what_could_not_be_sent_stays_there() -> None:
    here = Manifest(files={"a": a_file()})
    there = {
        "a": an_entry(),
        "secret": an_entry(),
        "closed": FOLDER,
        "closed/deep": FOLDER,
        "closed/deep/x": an_entry(),
        "sub": FOLDER,
        "sub/secret": an_entry(Kind.LINK, target="x"),
        "sub/gone": an_entry(),
        "secrets": an_entry(),
    }
    compared = compare(here, there, {"a": "d"}, ["secret", "closed", "sub/secret"])
    assert compared.unread == {"secret", "closed/deep/x", "sub/secret"}
    assert compared.surplus == {"sub/gone", "secrets"}
    assert compared.surplus_folders == set()
    assert compared.listed_surplus == ["secrets", "sub/gone"]


def test_a_manifest_without_a_file_keeps_its_folder() -> None:
    whole = Manifest(files={"a/b": a_file(), "a/c/d": a_file(), "e": a_file()}, folders=frozenset({"f"}))
    assert whole.leaving_out(["a/c/d", "e"]) == Manifest(
        files={"a/b": a_file()}, folders=frozenset({"f", "a/c"})
    )


def test_a_manifest_is_believed_where_size_and_time_are_the_same() -> None:
    old = Manifest(files={"same": a_file("1"), "size": a_file("2"), "time": a_file("3"), "gone": a_file("4")})
    there = {"same": an_entry(), "size": an_entry(size_bytes=2), "time": an_entry(mtime_s=8)}
    assert believed(old, there) == {"same": "1"}


@pytest.mark.parametrize("name", ["", ".x", "a/b", "..", "a b", "-x"])
def test_names_that_are_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="--name"):
        check_dataset(tmp_path, name)


def test_folders_that_are_refused(tmp_path: Path) -> None:
    for source, words in [
        (tmp_path / "no", "is not a folder or a file"),
        (tmp_path, "nothing to stage"),
    ]:
        with pytest.raises(DataError, match=words):
            check_dataset(source, "name")
    (tmp_path / "walk.mp4").touch()
    check_dataset(tmp_path / "walk.mp4", "walk")
