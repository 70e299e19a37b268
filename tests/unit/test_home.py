"""What of a run is home: the mark that is written last."""

import os
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

from slipway.job.home import MARK, Arrived, Home, forget_home, read_home, write_home
from slipway.job.run import Run, Status
from slipway.scheduler.base import State
from tests.unit.test_run import make_run

BROUGHT = datetime(2026, 1, 31, 18, 0, 0, tzinfo=timezone.utc)
NAMES = ("attempt-1/log", "attempt-1/out/new\nline", os.fsdecode(b"attempt-1/out/latin-\xe9"))


def run(state: State = State.COMPLETED) -> Run:
    return replace(make_run("k3f9"), status=Status(state=state))


def brought(results: Path, *, complete: bool = True) -> Home:
    folder = results / "k3f9"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x" * len(name))
    files = {name: Arrived(size_bytes=len(name), sha256="ab" * 32, mtime_s=1_000) for name in NAMES[1:]}
    files[NAMES[0]] = Arrived(size_bytes=len(NAMES[0]))
    home = Home(folder=folder, is_complete=complete, brought=BROUGHT, files=files)
    write_home(home)
    return home


def test_the_mark_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_home(tmp_path, run()) is None
    home = brought(tmp_path)
    assert read_home(tmp_path, run()) == home
    assert (home.count, home.size_bytes) == (3, sum(map(len, NAMES)))
    part = brought(tmp_path, complete=False)
    assert read_home(tmp_path, run()) == part


def test_what_is_not_there_any_more_is_not_complete(tmp_path: Path) -> None:
    brought(tmp_path)
    (tmp_path / "k3f9" / NAMES[1]).write_text("cut")
    found = read_home(tmp_path, run())
    assert found is not None
    assert not found.is_complete
    brought(tmp_path)
    (tmp_path / "k3f9" / NAMES[0]).unlink()
    assert not read_home(tmp_path, run()).is_complete  # type: ignore[union-attr]


def test_a_run_that_goes_on_is_not_complete(tmp_path: Path) -> None:
    brought(tmp_path)
    assert not read_home(tmp_path, run(State.RUNNING)).is_complete  # type: ignore[union-attr]


def test_a_mark_that_is_none_of_ours_says_nothing(tmp_path: Path) -> None:
    folder = brought(tmp_path).folder
    for text in ("", "[]", "{}", '{"version": 2}', '{"version": 1, "complete": true, "files": {"a": 1}}'):
        (folder / MARK).write_text(text)
        assert read_home(tmp_path, run()) is None
        forget_home(folder)
        assert not (folder / MARK).exists()


def test_while_results_are_on_their_way_there_is_no_mark(tmp_path: Path) -> None:
    home = brought(tmp_path)
    assert read_home(tmp_path, run()) == home
    forget_home(home.folder)
    assert read_home(tmp_path, run()) is None
    forget_home(home.folder)
