"""Packed datasets on the box: what a job sees, what is sent, which versions stay, and what a cut leaves."""

import os
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from slipway.dataset.packing import Packer
from slipway.dataset.staging import Staged
from slipway.errors import ConnectionLostError, IncompleteError, JobError
from slipway.job.input import StagedData
from slipway.job.run import Run
from slipway.keep.decision import Criteria, Decision
from slipway.progress import Amount, NullProgress
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps import data, keep
from slipway.steps.prune import Costs, Pruned, prune
from tests.conftest import Tell
from tests.integration.cuttable_proxy import CuttableProxy
from tests.integration.small_image import SmallImageBox
from tests.waiting import wait_until

ROOT = "$SCRATCH/slipway"
HELD = SlurmResources(sbatch=("--hold",))


@pytest.fixture
def place(small: SmallImageBox) -> Iterator[SmallImageBox]:
    """The box without data, and without runs of which nobody here knows whether they need any."""
    gone = f"{ROOT}/runs/* {ROOT}/data/* {ROOT}/data/.[!.]* {ROOT}/packed ~/slipway-kept"
    small.as_root("scancel", "-u", "researcher", code=None)
    wait_until(lambda: small.is_so('[ -z "$(squeue -h)" ]'), "an empty queue")
    small.on_box(f"rm -rf {gone}")
    yield small
    small.as_root("scancel", "-u", "researcher", code=None)


@pytest.fixture
def source(tmp_path: Path) -> Path:
    folder = tmp_path / "room"
    (folder / "sub" / "deep").mkdir(parents=True)
    (folder / "empty").mkdir()
    (folder / "a").write_text("one\n")
    (folder / "sub" / "deep" / "odd \udcff\n").write_text("two\n")
    (folder / "sub" / "run").write_text("#!/bin/sh\necho three\n")
    (folder / "sub" / "run").chmod(0o755)
    (folder / "link").symlink_to("a")
    return folder


def pack(place: SmallImageBox, source: Path, **options: bool) -> Staged:
    return data.stage_packed(place.session, place.choice, source, None, **options)


def submit(place: SmallImageBox, script: str, *args: str, wanted: SlurmResources | None = None) -> Run:
    with place.connect() as remote:
        return place.submit(remote, "sh", "-c", script, "sh", *args, wanted=wanted)


def said(place: SmallImageBox, run: Run, *, code: int = 0) -> list[str]:
    """What a run has printed, once it is over."""
    over = place.wait_for(run)
    log = place.on_box(f"cat {run.run_dir}/attempt-1/log")
    assert over.status.exit_code == code, log
    return log.splitlines()


def remove(place: SmallImageBox, *kinds: str, name: str | None = None) -> Pruned:
    def yes(costs: Costs, decision: Decision) -> bool:
        return True

    # A job that is over is in the queue for a moment more, and its data stay so long.
    wait_until(lambda: place.is_so('[ -z "$(squeue -h -t running,completing)" ]'), "the end of all jobs")
    criteria = Criteria(kinds=frozenset(kinds), data=frozenset({name} if name else ()))
    return prune(place.session, place.choice.site, criteria, yes)


def packed(place: SmallImageBox) -> set[str]:
    return {name for name in place.on_box(f"ls -A {ROOT}/packed").split("\n") if name.endswith(".sqsh")} - {
        "room.sqsh"
    }


def test_a_job_sees_what_was_packed_where_it_sees_what_was_not(
    place: SmallImageBox, source: Path, tmp_path: Path
) -> None:
    plain = tmp_path / "plain"
    plain.mkdir()
    (plain / "p").write_text("plain\n")
    data.stage(place.session, place.choice.site, plain, None)
    staged = pack(place, source)
    assert (staged.files, staged.sent_files, staged.has_folder) == (4, 4, False)
    script = (
        "cd /data && cat room/a room/link room/sub/deep/odd* plain/p && room/sub/run && ls -d room/empty && "
        "! touch room/x plain/x x 2>/dev/null && ls"
    )
    run = submit(place, script)
    assert said(place, run) == ["one", "one", "two", "plain", "three", "room/empty", "plain", "room"]
    assert run.packed == {"room": staged.path.name}
    # One that names other data has no process for it.
    other = submit(place, "ls /data", "/data/plain")
    assert (said(place, other), other.packed) == (["plain"], {})


@pytest.mark.long
def test_what_has_not_changed_is_neither_packed_nor_sent(
    place: SmallImageBox, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    source = tmp_path / "room"
    source.mkdir()
    chance = random.Random(1)  # noqa: S311
    for number in range(1000):
        (source / f"{number:04}.png").write_bytes(chance.randbytes(20_000))
    first = pack(place, source)
    assert first.sent_bytes > first.size_bytes
    for path in source.iterdir():
        os.utime(path)
    with monkeypatch.context() as patch:
        patch.setattr(Packer, "pack", None)
        again = pack(place, source)
    assert (again.sent_bytes, again.sent_files, again.path) == (0, 0, first.path)
    (source / "0500.png").write_bytes(chance.randbytes(20_100))
    changed = pack(place, source)
    tell(f"one of 1,000 files changed: {changed.sent_bytes / 1e3:,.0f} of {changed.size_bytes / 1e3:,.0f} kB")
    assert changed.sent_bytes < changed.size_bytes / 100
    assert changed.older == [first.path.name]
    # What somebody has damaged there is found when it is asked for.
    place.on_box(f"printf x | dd conv=notrunc bs=1 seek=9999 of={changed.path} 2>/dev/null")
    assert pack(place, source).sent_bytes == 0
    assert pack(place, source, verify=True).sent_bytes > 0
    assert not [*(place.session.project.state / "packed").iterdir()]


@pytest.mark.long
def test_a_job_keeps_the_version_that_it_was_submitted_with(
    place: SmallImageBox, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = pack(place, source).path.name
    waits = submit(place, "cat /data/room/a", wanted=HELD)
    (source / "a").write_text("newer\n")
    new = pack(place, source).path.name
    assert packed(place) == {old, new}
    # What a job needs stays, whether it is asked for by its name or as an older version.
    for kinds, name in ((("packed",), None), (("data", "packed"), "room")):
        gone = {item.name for item in remove(place, *kinds, name=name).gone}
        assert old not in gone
    assert packed(place) == {old}
    # It can hardly be removed in just this moment.
    with monkeypatch.context() as patch:
        patch.setattr(StagedData, "choose", lambda *words: {"room": new})
        with pytest.raises(JobError, match=r"packed data \(room\) have been removed just now"):
            submit(place, "true")
    pack(place, source)
    assert said(place, submit(place, "cat /data/room/a")) == ["newer"]
    place.as_root("scontrol", "release", str(waits.job_id))
    assert said(place, waits) == ["one"]
    assert {item.name for item in remove(place, "packed").gone} == {old}
    assert packed(place) == {new}


@pytest.mark.long
def test_from_packed_to_a_folder_and_back(place: SmallImageBox, source: Path) -> None:
    pack(place, source)
    waits = submit(place, "cat /data/room/a", wanted=HELD)
    (source / "a").write_text("folder\n")
    data.stage(place.session, place.choice.site, source, None)
    place.as_root("scontrol", "release", str(waits.job_id))
    assert said(place, submit(place, "cat /data/room/a")) == ["folder"]
    assert said(place, waits) == ["one"]
    (source / "a").write_text("packed\n")
    assert pack(place, source).has_folder
    assert said(place, submit(place, "cat /data/room/a")) == ["packed"]
    assert {item.path for item in remove(place, "data", name="room").gone} == {"data/room"}
    assert said(place, submit(place, "cat /data/room/a")) == ["packed"]


@pytest.mark.long
def test_a_packed_dataset_is_kept_and_comes_back(place: SmallImageBox, source: Path) -> None:
    staged = pack(place, source)
    kept = keep.keep_data(place.session, place.choice.site, "room")
    assert kept.path.name == staged.path.name
    remove(place, "packed", "data", name="room")
    assert not packed(place)
    keep.keep_data(place.session, place.choice.site, "room", back=True)
    assert packed(place) == {staged.path.name}
    assert said(place, submit(place, "cat /data/room/a")) == ["one"]


def test_what_cannot_be_read_is_named_and_all_else_is_packed(place: SmallImageBox, source: Path) -> None:
    (source / "out").symlink_to("/etc/passwd")
    staged = pack(place, source)
    with pytest.raises(IncompleteError, match=r"out: the link to /etc/passwd leads out"):
        staged.check()
    assert said(place, submit(place, "ls /data/room")) == ["a", "empty", "link", "sub"]


def test_a_job_whose_packed_data_are_gone_says_so(place: SmallImageBox, source: Path) -> None:
    file = pack(place, source).path
    waits = submit(place, "ls /data/room", wanted=HELD)
    place.on_box(f"rm {file}")
    place.as_root("scontrol", "release", str(waits.job_id))
    over = place.wait_for(waits)
    assert (over.state, over.status.reason) == (State.FAILED, "launch-failure")
    log = place.on_box(f"cat {waits.run_dir}/attempt-1/log")
    assert f"{file} is gone: stage room again, then submit again" in log


class Cut(NullProgress):
    """Cuts the line once so many bytes have gone."""

    def __init__(self, proxy: CuttableProxy, after_bytes: int) -> None:
        self.proxy, self.after_bytes = proxy, after_bytes
        self.sends = False

    def step(self, text: str) -> None:
        self.sends = text.startswith("Sending")

    def transfer(self, amount: Amount) -> None:
        if self.sends and self.after_bytes and amount.moved_bytes > self.after_bytes:
            self.after_bytes = 0
            self.proxy.cut()


@pytest.mark.long
@pytest.mark.fault("line", "stage --pack of 10,000 files")
def test_ten_thousand_files_cut_and_resumed(
    place: SmallImageBox, proxy: CuttableProxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tell: Tell
) -> None:
    source = tmp_path / "room"
    chance = random.Random(2)  # noqa: S311
    for number in range(10_000):
        path = source / f"{number % 100}" / f"{number}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(4000))
    cutting = replace(place.session, progress=Cut(proxy, 10_000_000))
    with pytest.raises(ConnectionLostError, match="the same command goes on where this one was"):
        data.stage_packed(cutting, place.choice, source, None)
    assert not packed(place)
    with monkeypatch.context() as patch:
        patch.setattr(Packer, "pack", None)
        rest = pack(place, source)
    size_bytes = rest.packed_bytes or 0
    tell(f"cut at 10 MB, then {rest.sent_bytes / 1e6:.1f} of {size_bytes / 1e6:.1f} MB sent")
    assert rest.sent_bytes < size_bytes - 5_000_000
    assert place.on_box(f"ls -A {ROOT}/packed").count(".part") == 0
    count = "find /data/room -type f | wc -l; cat /data/room/*/* | wc -c"
    assert said(place, submit(place, count)) == ["10000", "40000000"]
    assert PurePosixPath(rest.path).suffix == ".sqsh"
