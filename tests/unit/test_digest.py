import hashlib
import os
import time
from pathlib import Path

import pytest

from slipway.dataset.digest import hash_files
from slipway.dataset.survey import take_survey
from slipway.progress import NullProgress
from slipway.skipped import Skipped


class Ear(NullProgress):
    def __init__(self) -> None:
        self.steps: list[str] = []

    def step(self, text: str) -> None:
        self.steps.append(text)


def hashes(source: Path, memory: Path, **options: object) -> tuple[dict[str, str], list[str]]:
    ear = Ear()
    files = hash_files(take_survey(source), memory, ear, **options).files  # type: ignore[arg-type]
    for name, file in files.items():
        content = (source / name).read_bytes()
        assert (file.sha256, file.size_bytes) == (hashlib.sha256(content).hexdigest(), len(content))
    return {name: file.sha256 for name, file in files.items()}, ear.steps


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("a", "b", "\udcff"):
        (folder / name).write_text(f"{name!r} of some length")
    return folder


@pytest.fixture
def calm(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if all files had been written a minute ago: nobody can set the time of an inode back."""
    now = time.time_ns
    monkeypatch.setattr("slipway.hash_cache.time.time_ns", lambda: now() + 60 * 10**9)


@pytest.mark.usefixtures("calm")
def test_a_file_is_hashed_once(source: Path, tmp_path: Path) -> None:
    first, steps = hashes(source, tmp_path / "m")
    assert steps == ["Hashing 3 files (0.0 MB)"]
    assert hashes(source, tmp_path / "m") == (first, [])
    assert hashes(source, tmp_path / "m", doubted={"a"})[1] == ["Hashing 1 file (0.0 MB)"]
    (source / "b").unlink()
    (source / "c").write_text("new")
    assert hashes(source, tmp_path / "m")[1] == ["Hashing 1 file (0.0 MB)"]


@pytest.mark.usefixtures("calm")
def test_the_same_size_and_time_do_not_hide_a_change(source: Path, tmp_path: Path) -> None:
    before, _ = hashes(source, tmp_path / "m")
    status = (source / "a").stat()
    (source / "a").write_text("x" * status.st_size)
    os.utime(source / "a", ns=(status.st_atime_ns, status.st_mtime_ns))
    after, steps = hashes(source, tmp_path / "m")
    assert steps == ["Hashing 1 file (0.0 MB)"]
    assert {name for name in after if after[name] != before[name]} == {"a"}


def test_what_was_written_just_now_is_not_remembered(source: Path, tmp_path: Path) -> None:
    hashes(source, tmp_path / "m")
    assert hashes(source, tmp_path / "m")[1] == ["Hashing 3 files (0.0 MB)"]


@pytest.mark.usefixtures("calm")
@pytest.mark.parametrize("broken", ["", "[]", '{"a": 1}', '{"a": [1, 2]}', "\0"])
def test_a_broken_memory_is_no_trouble(source: Path, tmp_path: Path, broken: str) -> None:
    hashes(source, tmp_path / "m")
    (memory,) = (tmp_path / "m").iterdir()
    memory.write_text(broken)
    assert hashes(source, tmp_path / "m")[1] == ["Hashing 3 files (0.0 MB)"]
    assert hashes(source, tmp_path / "m")[1] == []


def test_what_is_gone_or_a_link_by_now_is_not_read(source: Path, tmp_path: Path) -> None:
    survey = take_survey(source)
    (source / "a").unlink()
    gone = hash_files(survey, tmp_path / "m", NullProgress())
    assert gone.skipped == [Skipped(name="a", why="it went away meanwhile")]
    assert set(gone.files) == set(survey.files) - {"a"}
    (source / "a").symlink_to("/etc/hostname")
    linked = hash_files(survey, tmp_path / "m", NullProgress())
    assert linked.skipped == [Skipped(name="a", why="it became a link meanwhile")]
