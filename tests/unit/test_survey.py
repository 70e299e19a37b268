import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from slipway.dataset.digest import hash_files
from slipway.dataset.survey import leads_out, root_of, take_survey
from slipway.errors import DataError
from slipway.progress import NullProgress
from slipway.skipped import Skipped, some_of


def test_a_survey(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "full" / "deep").mkdir(parents=True)
    (source / "empty" / "inside").mkdir(parents=True)
    (source / "only").mkdir()
    (source / "full" / "deep" / "file").write_text("x")
    (source / "only" / "out").symlink_to("/")
    (source / "link").symlink_to("full")
    (source / "dangling").symlink_to("nowhere")
    os.mkfifo(source / "pipe")
    (tmp_path / "entry").symlink_to("source")
    survey = take_survey(tmp_path / "entry")
    assert survey.root == source
    assert set(survey.files) == {"full/deep/file"}
    assert survey.links == {"link": "full", "dangling": "nowhere"}
    assert survey.folders == {"empty/inside", "only"}
    assert survey.left_out == ["pipe"]
    assert survey.skipped == [Skipped(name="only/out", why="the link to / leads out of the folder")]


@pytest.mark.parametrize(
    ("target", "out"),
    [
        ("file", False),
        ("./sub/../file", False),
        ("..", True),
        ("sub/../../source", True),
        ("/", True),
        ("nowhere/../x", False),
        ("nowhere/../../x", True),
        ("to_sub/..", False),
        ("to_sub/../..", True),
        ("to_deep/..", False),
        ("to_deep/../..", False),
        ("to_deep/../../..", True),
        ("out", True),
        ("to_out", True),
        ("to_out/x", True),
        ("circle", False),
        ("", False),
    ],
)
def test_links_are_followed_as_the_kernel_does(tmp_path: Path, target: str, out: bool) -> None:
    source = tmp_path / "source"
    (source / "sub" / "deep").mkdir(parents=True)
    (source / "file").write_text("x")
    for name, leads in {
        "to_sub": "sub",
        "to_deep": "sub/deep",
        "out": "..",
        "to_out": "out",
        "circle": "circle",
    }.items():
        (source / name).symlink_to(leads)
    if target:
        (source / "link").symlink_to(target)
    assert leads_out(source, "link") is out


def test_a_single_file_is_a_dataset_of_one(tmp_path: Path) -> None:
    (tmp_path / "desk.mov").write_bytes(b"a video")
    (tmp_path / "other.mov").touch()
    (tmp_path / "latest").symlink_to("desk.mov")
    for source in (tmp_path / "desk.mov", tmp_path / "latest"):
        survey = take_survey(source)
        assert survey.root == root_of(source) == tmp_path
        assert {name: status.st_size for name, status in survey.files.items()} == {"desk.mov": 7}
        assert not any((survey.links, survey.folders, survey.left_out, survey.skipped))
    (tmp_path / "desk.mov").unlink()
    with pytest.raises(DataError, match=r"desk\.mov cannot be read"):
        take_survey(tmp_path / "desk.mov")


def test_names_are_shown_as_one_line() -> None:
    assert some_of(["a b", "a\nb", "\x1b[2J", "c", "d", "e"]) == "a b, 'a\\nb', '\\x1b[2J', c, d, …"


@contextmanager
def as_somebody() -> Iterator[None]:
    """As another user where the tests are root's, who may read everything."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_what_cannot_be_read_is_named(open_folder: Path) -> None:
    source = open_folder / "source"
    (source / "closed").mkdir(parents=True)
    (source / "file").write_text("x")
    (source / "closed").chmod(0)
    (source / "file").chmod(0)
    (open_folder / "memory").mkdir(mode=0o777)
    (open_folder / "memory").chmod(0o777)
    with as_somebody():
        survey = take_survey(source)
        hashed = hash_files(survey, open_folder / "memory", NullProgress())
    assert survey.skipped == [Skipped(name="closed", why="Permission denied")]
    assert survey.folders == set()
    assert hashed.files == {}
    assert hashed.skipped == [Skipped(name="file", why="Permission denied")]
    source.chmod(0)
    with as_somebody(), pytest.raises(DataError, match=r"source cannot be read: Permission denied; make it"):
        take_survey(source)


def test_a_folder_that_lists_names_and_no_more(open_folder: Path) -> None:
    source = open_folder / "source"
    (source / "half").mkdir(parents=True)
    (source / "half" / "x").write_text("x")
    (source / "good").write_text("x")
    (source / "half").chmod(0o744)
    with as_somebody():
        survey = take_survey(source)
    assert set(survey.files) == {"good"}
    assert survey.skipped == [Skipped(name="half/x", why="Permission denied")]
