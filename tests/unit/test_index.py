"""The index of records: no other record is read than those of the runs that are meant, and none is missed."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path

import pytest

from slipway.errors import UsageError
from slipway.job import index, record_file, store
from slipway.job.record import format_run, parse_run
from slipway.job.run import Run, Status
from slipway.job.selection import ALL, Selection
from slipway.job.store import RunStore
from slipway.scheduler.base import State
from tests.unit.test_run import NOW, make_run
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
MANY = 2000
# Prints which files below the project's state were opened, one a line, behind what the task itself prints.
COUNT = """
import sys
opened = []
sys.addaudithook(lambda event, args: event == "open" and opened.append(str(args[0])))
from slipway.job import index
index.RACY_NS = 0
from invoke.main import program
program.run(["invoke", "status"], exit=False)
print("opened:", *(name for name in opened if "/.slipway/runs" in name), sep="\\n")
"""


def numbered(number: int) -> Run:
    """One of many runs, of which every third has failed."""
    state = State.COMPLETED if number % 3 else State.FAILED
    run = make_run(f"{number:05}-cpu", NOW + timedelta(minutes=number))
    return replace(run, status=Status(state=state), name=f"name-{number % 10}")


def fill(folder: Path, count: int) -> RunStore:
    folder.mkdir(parents=True)
    for number in range(count):
        run = numbered(number)
        (folder / f"{run.run_id}.json").write_text(format_run(run, local=True))
    return RunStore(folder)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The ids of the records that were read; records that were just written count as written long ago."""
    ids: list[str] = []

    def note(file: Path) -> object:
        ids.append(file.stem)
        return record_file.read_record(file)

    monkeypatch.setattr(index, "RACY_NS", 0)
    monkeypatch.setattr(index, "read_record", note)
    monkeypatch.setattr(store, "read_record", note)
    return ids


@pytest.fixture
def some(tmp_path: Path, read: list[str]) -> RunStore:
    """Five runs that are in the index."""
    some = fill(tmp_path / "runs", 5)
    assert ids(some) == ["00004-cpu", "00003-cpu", "00002-cpu", "00001-cpu", "00000-cpu"]
    read.clear()
    return some


def ids(some: RunStore, selection: Selection = ALL) -> list[str]:
    return [run.run_id for run in some.select(selection)]


def place(some: RunStore) -> Path:
    return some.folder.with_name("runs.index")


def test_only_what_is_meant_is_read(tmp_path: Path, read: list[str]) -> None:
    many = fill(tmp_path / "runs", MANY)
    newest = [f"{number:05}-cpu" for number in reversed(range(MANY - 20, MANY))]
    assert [run.run_id for run in many.select(count=20)] == newest
    assert len(read) == MANY + 20
    read.clear()
    assert [run.run_id for run in many.select(count=20)] == newest == read
    read.clear()
    assert many.find("00777").run_id == "00777-cpu"
    assert many.newest(None).run_id == newest[0]
    selection = Selection(
        states=frozenset({State.FAILED}), name="name-7", since=NOW + timedelta(minutes=1900)
    )
    assert ids(many, selection) == ["01977-cpu", "01947-cpu", "01917-cpu"]
    # There is no record of the run 00777.
    assert read == ["00777", "00777-cpu", newest[0], "01977-cpu", "01947-cpu", "01917-cpu"]


def test_a_whole_id_needs_no_look_at_others(some: RunStore, read: list[str]) -> None:
    place(some).unlink()
    assert some.find("00002-cpu").run_id == "00002-cpu"
    assert read == ["00002-cpu"]
    assert not place(some).exists()
    (some.folder.parent / "outside.json").write_text(format_run(make_run("outside")))
    with pytest.raises(UsageError, match=r"no run's id or name starts with '\.\./outside'"):
        some.find("../outside")


def changed(file: Path) -> str:
    """The record with another state, and no longer than before."""
    run = parse_run(file.read_bytes())
    return format_run(
        replace(run, status=replace(run.status, state=State.TIMEOUT), site=run.site[:-1]), local=True
    )


def edit_in_place(some: RunStore) -> None:
    """As an editor does that keeps the file; its size and its time stay."""
    file = some.folder / "00003-cpu.json"
    status = file.stat()
    text = changed(file)
    with file.open("r+") as opened:
        opened.write(text)
        opened.truncate()
    assert file.stat().st_size == status.st_size
    os.utime(file, ns=(status.st_atime_ns, status.st_mtime_ns))


def put_back(some: RunStore) -> None:
    """A copy from elsewhere, with the times that it had there."""
    other = some.folder.with_name("copy.json")
    other.write_text(changed(some.folder / "00003-cpu.json"))
    os.utime(other, (1, 1))
    other.replace(some.folder / "00003-cpu.json")


@pytest.mark.parametrize("change", [edit_in_place, put_back])
def test_a_record_that_was_changed_by_others_is_read_again(
    some: RunStore, read: list[str], change: Callable[[RunStore], None]
) -> None:
    change(some)
    assert ids(some, Selection(states=frozenset({State.TIMEOUT}))) == ["00003-cpu"]
    assert read == ["00003-cpu", "00003-cpu"]
    read.clear()
    assert ids(some, Selection(states=frozenset({State.FAILED}))) == ["00000-cpu"] == read


def test_records_come_and_go(some: RunStore, read: list[str]) -> None:
    (some.folder / "00002-cpu.json").unlink()
    # An older Slipway knows no names.
    values = json.loads(format_run(numbered(7)))
    del values["name"]
    (some.folder / "00007-cpu.json").write_text(json.dumps(values))
    assert ids(some) == ["00007-cpu", "00004-cpu", "00003-cpu", "00001-cpu", "00000-cpu"]
    assert some.find("00007").name is None
    some.save(numbered(2))
    some.forget(numbered(4))
    assert ids(some) == ["00007-cpu", "00003-cpu", "00002-cpu", "00001-cpu", "00000-cpu"]
    for file in some.folder.iterdir():
        file.unlink()
    some.folder.rmdir()
    assert ids(some) == []


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-20])


def change_a_letter(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"FAILED", b"FAILES"))


def make_another_version(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"slipway 1 ", b"slipway 0 ").replace(b"FAILED", b"KILLED"))


def make_a_folder(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize("spoil", [Path.unlink, cut, change_a_letter, make_another_version, make_a_folder])
def test_an_index_that_does_not_serve_is_made_anew(
    some: RunStore, read: list[str], spoil: Callable[[Path], None]
) -> None:
    spoil(place(some))
    assert ids(some, Selection(states=frozenset({State.FAILED}))) == ["00003-cpu", "00000-cpu"]
    assert len(read) == 5 + 2
    assert [file.name for file in sorted(some.folder.parent.iterdir())] == ["runs", "runs.index"]


def test_where_it_cannot_be_kept_nothing_is_missed(
    some: RunStore, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    place(some).unlink()

    def refuse(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "write_bytes", refuse)
    assert len(ids(some)) == 5
    assert not place(some).exists()


def test_what_was_just_written_is_read_again(some: RunStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    some.save(numbered(3))
    assert len(ids(some)) == 5
    # A second change within one tick of the disk's clock would look the same.
    assert b"00003-cpu" not in place(some).read_bytes()


def test_records_that_cannot_be_read_are_told_every_time(some: RunStore) -> None:
    notes: list[str] = []
    some = RunStore(some.folder, notes.append)
    (some.folder / "00001-cpu.json").write_text("{")
    (some.folder / "loop.json").symlink_to("loop.json")
    for _ in range(2):
        assert [run.run_id for run in some.select(count=1)] == ["00004-cpu"]
    assert len(notes) == 2
    assert "2 records are left out" in notes[1]
    assert "00001-cpu.json: it is not JSON" in notes[1]


def write_and_look(folder: Path, first: int) -> None:
    index.RACY_NS = 0
    mine = RunStore(folder)
    for number in range(first, first + 40):
        run = numbered(number)
        mine.save(replace(run, status=Status(state=State.RUNNING)))
        assert run.run_id in ids(mine)
        mine.save(run)
        assert run.run_id not in ids(mine, Selection(states=frozenset({State.RUNNING})))


def test_commands_at_once_lose_nothing(tmp_path: Path) -> None:
    context = get_context("spawn")
    ours = [context.Process(target=write_and_look, args=(tmp_path / "runs", 100 * one)) for one in range(3)]
    for process in ours:
        process.start()
    for process in ours:
        process.join(PATIENCE_S)
    assert [process.exitcode for process in ours] == [0, 0, 0]
    together = RunStore(tmp_path / "runs")
    assert len(ids(together, Selection(over=True))) == 120
    assert [entry.run_id for entry in together.entries()] == ids(together)
    assert [file.name for file in sorted(tmp_path.iterdir())] == ["runs", "runs.index"]


def test_status_opens_the_index_and_what_it_shows(tmp_path: Path) -> None:
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").touch()
    (tmp_path / "tasks.py").write_text(
        "from slipway.tasks import slipway_tasks\nns = slipway_tasks(__file__)\n"
    )
    fill(tmp_path / ".slipway" / "runs", MANY)
    for _ in range(2):
        done = subprocess.run(
            [sys.executable, "-c", COUNT],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=True,
        )
    shown, _, opened = done.stdout.partition("opened:\n")
    files = [Path(name).name for name in opened.splitlines()]
    newest = [f"{number:05}-cpu.json" for number in reversed(range(MANY - 20, MANY))]
    assert files == ["runs.index", *newest]
    assert [line.split()[0] for line in shown.splitlines()[1:]] == [
        name.removesuffix(".json") for name in newest
    ]
