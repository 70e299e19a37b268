import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from slipway.errors import UsageError
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
    assert store.list() == [run]


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
        UsageError, match=r"'k3' is the beginning of several runs' ids: k3\w\w-cpu, k3\w\w-cpu; write"
    ):
        store.find("k3")
    with pytest.raises(UsageError, match=r"no run's id starts with 'k3f8-cpu' \(did you mean k3f9-cpu\?\)"):
        store.find("k3f8-cpu")


def test_a_broken_record_is_named(store: RunStore) -> None:
    store.save(make_run("k3f9"))
    (store.folder / "k3f9.json").write_text("{")
    with pytest.raises(UsageError, match=r"k3f9.json is not the record of a run"):
        store.find("k3f9")


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
        assert store.list() == [run]
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
