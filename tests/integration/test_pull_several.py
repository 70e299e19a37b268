"""Pulls of several runs, of parts of them, and what says that all of a run is home."""

import json
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.errors import IncompleteError, SlipwayError
from slipway.host.host import Host
from slipway.job import results
from slipway.job.comparison import Compared, compare
from slipway.job.home import MARK, read_home
from slipway.job.results import NothingWantedError, Results
from slipway.job.run import Run, Status
from slipway.job.wanted import LAST, Wanted
from slipway.progress import NullProgress
from slipway.scheduler.base import State
from slipway.steps.pull import Order, Pulled, find_not_home, pull_several
from slipway.steps.session import Session
from slipway.transfer.checksum import hash_remote
from tests.campaign import others_long
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import TaskRunner
from tests.integration.test_pull import CARRIERS, files

OK = '{"exit_code": 0, "signal": null, "reason": "ok", "start": 1, "end": 2, "job_id": "7"}'
PREEMPTED = OK.replace('"ok"', '"preempted"').replace('"exit_code": 0', '"exit_code": 143')


@pytest.fixture(scope="module")
def model(small: SmallImageBox) -> Run:
    """A run of which others are made, without a job of their own."""
    with small.connect() as host:
        return small.submit(host, "sh", "-c", "echo model")


def left(small: SmallImageBox, model: Run, script: str, *, state: State = State.COMPLETED) -> Run:
    """A run that is over, of which a script has made the folder, and that has a record here."""
    run_id = f"t{os.urandom(3).hex()}-{model.profile}-20260131-142530"
    folder = f"{model.run_dir.rpartition('/')[0]}/{run_id}"
    begin = f"mkdir -p {folder}/attempt-1/out && cd {folder} && touch job.sh"
    begin += f" && echo '{OK}' >attempt-1/result.json"
    small.on_box(f"{begin} && {{ {script}\n}}")
    run = replace(model, run_id=run_id, run_dir=folder, status=Status(state=state, reason="ok"))
    small.session.store.save(run)
    return run


def pull(
    small: SmallImageBox, run: Run, folder: Path, wanted: Wanted | None = None, carrier: str = "rsync"
) -> Results:
    with small.connect() as host:
        host.transfer = carrier
        return results.pull(host, run, folder, NullProgress(), wanted)


def is_complete(folder: Path, run: Run) -> bool:
    home = read_home(folder, run)
    return home is not None and home.is_complete


@pytest.mark.parametrize("carrier", others_long(CARRIERS, "sftp"))
def test_a_file_that_changed_here_is_brought_again(
    small: SmallImageBox, model: Run, tmp_path: Path, carrier: str
) -> None:
    """Its size and time say that it is the same, so that only its hash can tell."""
    script = "echo 1234 >attempt-1/out/small; head -c 5000000 /dev/urandom >attempt-1/out/large"
    run = left(small, model, f"{script}; echo x >'attempt-1/out/new\nline'")
    first = pull(small, run, tmp_path, carrier=carrier)
    assert (first.mark.is_complete, first.mark.count, first.different) == (True, 5, [])
    assert is_complete(tmp_path, run)
    out = first.home / "attempt-1" / "out"
    before = {}
    for name in ("small", "large", "new\nline"):
        status, before[name] = (out / name).stat(), (out / name).read_bytes()
        (out / name).write_bytes(b"?" + before[name][1:])
        os.utime(out / name, ns=(status.st_atime_ns, status.st_mtime_ns))
    again = pull(small, run, tmp_path, carrier=carrier)
    assert (again.transfer.files, again.different, again.mark.is_complete) == (3, [], True)
    assert {name: (out / name).read_bytes() for name in before} == before


def test_only_what_is_new_is_hashed_there(
    small: SmallImageBox, model: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Sequence[str]] = []

    def note_and_hash(host: Host, folder: PurePosixPath, names: Sequence[str], **others: Any) -> Any:
        asked.append(names)
        return hash_remote(host, folder, names, **others)

    run = left(small, model, "echo a >attempt-1/out/a; echo b >attempt-1/out/b")
    assert pull(small, run, tmp_path).mark.is_complete
    small.on_box(f"cd {run.run_dir}/attempt-1/out && echo more >>a && echo c >c")
    monkeypatch.setattr("slipway.job.comparison.hash_remote", note_and_hash)
    again = pull(small, run, tmp_path)
    assert (again.mark.is_complete, again.mark.count) == (True, 5)
    assert asked == [["attempt-1/out/a", "attempt-1/out/c"]]
    # What changes here is noticed all the same, by what was noted.
    file = again.home / "attempt-1" / "out" / "b"
    times = file.stat()
    file.write_text("?\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert pull(small, run, tmp_path).mark.is_complete
    assert (file.read_text(), asked[1:]) == ("b\n", [["attempt-1/out/b"]])
    pull(small, run, tmp_path)
    assert len(asked) == 2


def test_what_a_purge_has_left_is_not_complete(small: SmallImageBox, model: Run, tmp_path: Path) -> None:
    run = left(small, model, "echo a >attempt-1/out/a; echo b >attempt-1/out/b")
    purge = f"cd {run.run_dir} && rm job.sh attempt-1/out/a"
    assert pull(small, run, tmp_path / "before").mark.is_complete
    small.on_box(purge)
    late = pull(small, run, tmp_path / "after")
    assert not late.mark.is_complete
    with pytest.raises(IncompleteError, match=r"is not whole on the cluster any more: its job\.sh is gone"):
        late.check()
    # What was home before is so still, with all of it.
    again = pull(small, run, tmp_path / "before")
    again.check()
    assert (again.mark.is_complete, again.mark.count) == (True, 4)
    (tmp_path / "before" / run.run_id / "attempt-1" / "out" / "a").unlink()
    assert not pull(small, run, tmp_path / "before").mark.is_complete


@pytest.mark.long
def test_a_file_that_never_holds_still_is_told(
    small: SmallImageBox, model: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It changes after it was brought, and again after the second time; its size and time stay."""
    run = left(small, model, "echo a >attempt-1/out/good; echo 0 >attempt-1/out/restless")
    file = f"{run.run_dir}/attempt-1/out/restless"
    numbers = iter("12")

    def change_and_compare(*args: Any) -> Compared:
        small.on_box(f"echo {next(numbers)} >{file}; touch -d 2026-01-31 {file}")
        return compare(*args)

    small.on_box(f"touch -d 2026-01-31 {file}")
    with monkeypatch.context() as patch:
        patch.setattr("slipway.job.fetch.compare", change_and_compare)
        brought = pull(small, run, tmp_path)
    assert [one.name for one in brought.different] == ["attempt-1/out/restless"]
    with pytest.raises(IncompleteError, match=r"1 file or folder of .* came twice, and are still not"):
        brought.check()
    assert not is_complete(tmp_path, run)
    assert pull(small, run, tmp_path).mark.is_complete


@pytest.mark.parametrize("carrier", others_long(CARRIERS, "sftp"))
def test_a_part_is_never_called_complete(
    small: SmallImageBox, model: Run, tmp_path: Path, carrier: str
) -> None:
    out = "attempt-2/out"
    script = f"mkdir -p {out}/maps attempt-1/out/maps; echo '{PREEMPTED}' >attempt-1/result.json; "
    script += f"echo '{OK}' >attempt-2/result.json; echo 1 >attempt-1/out/a.json; echo 2 >{out}/a.json; "
    script += (
        f"echo c >'{out}/maps/#c.ply'; echo d >{out}/d; ln -s a.json {out}/link.json; echo log >attempt-2/log"
    )
    run = left(small, model, script)
    only = pull(small, run, tmp_path, Wanted(only=("*.json", "maps"), attempt=LAST), carrier)
    own = {"run.json", MARK}
    assert files(only.home) == {*own, f"{out}/a.json", f"{out}/maps/#c.ply"}
    assert (only.home / "out" / "link.json").read_text() == "2\n"
    assert not is_complete(tmp_path, run)
    assert only.mark.files.keys() == {f"{out}/a.json", f"{out}/maps/#c.ply"}
    first = pull(small, run, tmp_path, Wanted(attempt=1), carrier)
    assert first.out == first.home / "attempt-1" / "out"
    assert (first.home / "out" / "a.json").read_text() == "2\n"
    assert first.mark.count == 5
    with pytest.raises(NothingWantedError, match=r"no file of --only '\*.obj'; its newest attempt is 2"):
        pull(small, run, tmp_path, Wanted(only=("*.obj",)), carrier)
    whole = pull(small, run, tmp_path, carrier=carrier)
    assert whole.mark.is_complete
    assert whole.attempts == ["out is attempt 2, the last; attempt 1 was preempted or requeued"]
    # A part of what is complete takes nothing away from it.
    assert pull(small, run, tmp_path, Wanted(only=("d",)), carrier).mark.is_complete


def test_some_tasks_of_an_array(small: SmallImageBox, model: Run, tmp_path: Path) -> None:
    script = "rm -r attempt-1; for task in 0 1 2; do mkdir -p task-$task/attempt-1/out; "
    run = left(small, model, script + "echo $task >task-$task/attempt-1/out/n; done; mkdir task-2/attempt-2")
    array = replace(run, task_indices=(0, 1, 2), resources={**run.resources, "array": "0-2"})
    some = pull(small, array, tmp_path, Wanted(tasks=frozenset({0, 2})))
    assert {name for name in files(some.home) if name.startswith("task")} == {
        "task-0/attempt-1/out/n",
        "task-2/attempt-1/out/n",
    }
    assert some.attempts == [
        "task 2: out is attempt 2, the last; attempt 1 left no result (it was killed, or its node was lost)"
    ]
    assert (some.home / "task-0" / "out" / "n").read_text() == "0\n"
    assert not some.mark.is_complete
    assert pull(small, array, tmp_path).mark.is_complete


class Cutting(NullProgress):
    """Cuts the line while something is on its way, once a run."""

    def __init__(self, proxy: CuttableProxy) -> None:
        self.proxy = proxy
        self.notes: list[str] = []
        self.armed = False
        self.seen: set[str] = set()

    def step(self, text: str) -> None:
        if text.startswith("Bringing") and text not in self.seen:
            self.armed = True
            self.seen.add(text)

    def transfer(self, amount: object) -> None:
        if self.armed:
            self.armed = False
            self.proxy.cut()

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.mark.long
@pytest.mark.fault("line", "pull of several runs")
def test_all_that_is_over_comes_home_over_a_line_that_is_cut(
    small: SmallImageBox, model: Run, tmp_path: Path, proxy: CuttableProxy
) -> None:
    project = replace(small.session.project, state=tmp_path / "state", results=tmp_path / "results")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "box").symlink_to(small.session.project.state / "box")
    progress = Cutting(proxy)
    session = Session(project=project, progress=progress)
    there = replace(small, session=session)
    script = "head -c 3000000 /dev/urandom >attempt-1/out/large; echo a >attempt-1/out/a"
    runs = [left(there, model, script) for _ in range(3)]
    gone = left(there, model, 'rm -r "$PWD"')
    closed = left(there, model, "echo secret >attempt-1/out/secret; chmod 0 attempt-1/out/secret")
    refused = replace(gone, run_id="refused-x", run_dir="/s/refused-x", job_id=None)
    session.store.save(refused)
    order = Order()
    found, error = find_not_home(session, order)
    assert error is None
    assert {run.run_id for run, _ in found} == {run.run_id for run in (*runs, closed)}
    assert f"1 that were not brought home are not at box any more: {gone.run_id}" in progress.notes
    brought: list[Pulled] = []
    failed = pull_several(session, found, order, brought.append)
    assert isinstance(failed, IncompleteError)
    assert str(failed).startswith(f"1 of 4 runs were not brought whole:\n{closed.run_id}: 1 file or folder")
    assert len(brought) == 4
    assert sum("The connection was lost" in note for note in progress.notes) >= 3
    assert all(is_complete(project.results, run) for run in runs)
    assert not is_complete(project.results, closed)
    # What is home is not asked for again; what could not be read is.
    assert [run.run_id for run, _ in find_not_home(session, order)[0]] == [closed.run_id]
    (project.results / runs[0].run_id / "attempt-1" / "out" / "a").unlink()
    assert {run.run_id for run, _ in find_not_home(session, order)[0]} == {closed.run_id, runs[0].run_id}


def test_a_pull_that_was_cut_is_not_home(
    small: SmallImageBox, model: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = left(small, model, "echo a >attempt-1/out/a")
    assert pull(small, run, tmp_path).mark.is_complete

    def cut(*_: object, **__: object) -> None:
        raise SlipwayError("cut")

    monkeypatch.setattr("slipway.job.fetch.compare", cut)
    with pytest.raises(SlipwayError, match="cut"):
        pull(small, run, tmp_path)
    assert read_home(tmp_path, run) is None


@pytest.mark.long
def test_what_a_person_sees(small: SmallImageBox, model: Run, tmp_path: Path) -> None:
    one, other = (left(small, model, f"echo '{{\"n\": {n}}}' >attempt-1/out/fig.json") for n in (1, 2))
    project = small.session.project
    runner = TaskRunner(state=project.state, results=project.results)
    done = runner.invoke("extract", one.run_id, other.run_id, "--into", str(tmp_path))
    assert f"{one.run_id} COMPLETED: " in done.stderr
    assert f"brought to {tmp_path}/{one.run_id}/, which is complete: 3 files, 0.1 kB" in done.stderr
    assert "fig" not in done.stdout
    part = runner.invoke("pull", one.run_id, "--only", "fig.*", "--into", str(tmp_path / "part"))
    assert "which is in part: 1 file, 0.0 kB" in part.stderr
    assert json.loads((tmp_path / "part" / one.run_id / "out" / "fig.json").read_text()) == {"n": 1}
    refused = runner.invoke("pull", "--all", one.run_id, code=64)
    assert "--all is every run that is over and not home" in refused.stderr
