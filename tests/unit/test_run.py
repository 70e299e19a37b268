import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from slipway.errors import UsageError
from slipway.job.record import PLAIN_VERSION, VERSION, format_run, parse_run
from slipway.job.record_file import UnreadableRecordError
from slipway.job.run import Run, Status, new_run_id
from slipway.job.store import RunStore
from slipway.scheduler.base import State

NOW = datetime(2026, 1, 31, 14, 25, 30, tzinfo=timezone.utc)


def make_run(run_id: str, submitted: datetime = NOW) -> Run:
    return Run(
        run_id=run_id,
        site="box",
        profile="cpu",
        submitted=submitted,
        program=("python3", "-m", "slam"),
        args=("--task", "a b", "", "\ud800"),
        commit=None,
        dirty=False,
        image_id="sha256:1",
        sif="/s/images/a-1.sif",
        sif_sha256="1",
        code="c0de",
        resources={},
        profile_values={},
        site_values={},
        run_dir=f"/s/runs/{run_id}",
    )


@pytest.fixture
def store(tmp_path: Path) -> RunStore:
    return RunStore(tmp_path / "runs")


def test_ids_begin_with_their_random_part() -> None:
    ids = {new_run_id("cpu", NOW) for _ in range(50)}
    assert len(ids) == 50
    assert all(one[4:] == "-cpu-20260131-142530" for one in ids)


def test_a_record_is_read_back_as_it_was(store: RunStore) -> None:
    run = replace(make_run("k3f9-cpu"), job_id="7")
    store.save(run)
    assert store.select() == [run]


def test_the_newest_run_is_the_default(store: RunStore) -> None:
    store.save(make_run("bbbb"))
    store.save(make_run("aaaa", NOW + timedelta(seconds=1)))
    assert store.find(None).run_id == "aaaa"
    assert store.find("b").run_id == "bbbb"


def test_a_prefix_has_to_be_clear(store: RunStore) -> None:
    with pytest.raises(UsageError, match="there are no runs yet"):
        store.find(None)
    store.save(make_run("k3f9-cpu"))
    store.save(make_run("k3m2-cpu"))
    with pytest.raises(
        UsageError,
        match=r"'k3' is the beginning of several runs' ids or names: k3\w\w-cpu, k3\w\w-cpu",
    ):
        store.find("k3")
    with pytest.raises(UsageError, match=r"or name starts with 'k3f8-cpu' \(did you mean k3f9-cpu\?\)"):
        store.find("k3f8-cpu")


def test_records_that_cannot_be_read_block_no_others(store: RunStore) -> None:
    notes: list[str] = []
    store = RunStore(store.folder, notes.append)
    for run_id in ("k3f9", "m4p2", "n5q3", "p6r4", "q7s5"):
        store.save(make_run(run_id))
    (store.folder / "k3f9.json").write_text((store.folder / "k3f9.json").read_text()[:200])
    newer = (store.folder / "m4p2.json").read_text().replace(f'"version": {PLAIN_VERSION}', '"version": 99')
    (store.folder / "m4p2.json").write_text(newer)
    (store.folder / "n5q3.json").replace(store.folder / "other.json")
    (store.folder / "folder.json").mkdir()
    assert [run.run_id for run in store.select()] == ["p6r4", "q7s5"]
    assert store.find("p").run_id == "p6r4"
    assert len(notes) == 1
    cut = "it is not JSON, or cut: Unterminated string starting at: line 13 column 2 (char 196)"
    assert notes[0].splitlines() == [
        "4 records are left out:",
        f"  {store.folder}/folder.json: it is too large, or not a file",
        f"  {store.folder}/k3f9.json: {cut}",
        f"  {store.folder}/m4p2.json: a newer Slipway wrote it (version 99; this one reads up to {VERSION})",
        f"  {store.folder}/other.json: it is the record of n5q3",
        "  `invoke status folder` brings it again from its cluster",
        "  Update Slipway in this checkout to read what a newer one wrote",
    ]
    with pytest.raises(UnreadableRecordError, match=r"k3f9.json cannot be read: ") as caught:
        store.find("k3")
    assert caught.value.record.run_id == "k3f9"


def test_an_unreadable_record_is_replaced_and_kept(store: RunStore) -> None:
    store.save(make_run("k3f9"))
    (store.folder / "k3f9.json").write_text("{")
    (unreadable,) = store.read()[1]
    kept = store.replace_unreadable(unreadable, make_run("k3f9"))
    assert kept is not None
    assert kept.read_text() == "{"
    assert store.read() == ([make_run("k3f9")], [])
    # Another command was faster.
    assert store.replace_unreadable(unreadable, make_run("k3f9")) is None
    assert store.read() == ([make_run("k3f9")], [])


def test_the_newest_run_of_a_terminal_session_goes_first(
    store: RunStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.save(replace(make_run("mine"), session="one"))
    store.save(replace(make_run("other", NOW + timedelta(seconds=1)), session="two"))
    store.save(make_run("nobodys", NOW + timedelta(seconds=2)))
    assert store.newest("one").run_id == "mine"
    assert store.newest("three").run_id == "nobodys"
    assert store.newest(None).run_id == "nobodys"
    monkeypatch.setattr("slipway.job.store.terminal_session", lambda: "two")
    assert store.find(None).run_id == "other"


def test_only_the_local_record_has_the_session() -> None:
    run = replace(make_run("k3f9"), session="1000@laptop 1")
    assert parse_run(format_run(run, local=True)) == run
    assert "laptop" not in format_run(run)


@pytest.mark.parametrize(
    ("reason", "code", "expected"),
    [("ok", 0, 0), ("program-error", 3, 3), ("time-limit", 0, 1), ("cancelled", None, 1), (None, None, 1)],
)
def test_who_waited_exits_as_the_job_did(reason: str | None, code: int | None, expected: int) -> None:
    assert Status(state=State.COMPLETED, reason=reason, exit_code=code).wait_code == expected


def test_a_run_is_held_while_it_is_submitted(store: RunStore) -> None:
    run = make_run("k3f9")
    with store.submitting(run):
        assert store.is_submitting(run)
        assert store.select() == [run]
        with pytest.raises(FileExistsError), store.submitting(run):
            pass
    assert not store.is_submitting(run)
    assert [file.name for file in store.folder.iterdir()] == ["k3f9.json"]


def test_a_process_that_is_killed_holds_nothing(store: RunStore) -> None:
    program = f"""
import signal
from pathlib import Path
from slipway.job.store import RunStore
from tests.unit.test_run import make_run
with RunStore(Path({str(store.folder)!r})).submitting(make_run("k3f9")):
    print("held", flush=True)
    signal.pause()
"""
    root = Path(__file__).parents[2]
    argv = [sys.executable, "-c", program]
    with subprocess.Popen(argv, cwd=root, env={"PYTHONPATH": str(root)}, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        assert store.is_submitting(make_run("k3f9"))
        process.kill()
    assert not store.is_submitting(make_run("k3f9"))
    assert [file.name for file in store.folder.iterdir()] == ["k3f9.json"]
