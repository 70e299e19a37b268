import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from slipway.lock import is_locked, only_one
from slipway.project import Project
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.steps.data import stage as stage_step
from slipway.steps.session import Session
from tests.waiting import PATIENCE_S

HOLD = """
import fcntl, sys
held = open(sys.argv[1], "wb")
fcntl.flock(held, fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


def test_the_second_waits_and_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "lock"
    argv = [sys.executable, "-c", HOLD, str(file)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        told = []

        def tell() -> None:
            told.append(True)
            holder.stdin.close()  # type: ignore[union-attr]

        with only_one(file, tell):
            assert told == [True]
    with only_one(file, tell):
        assert told == [True]


def test_sites_that_share_a_scratch_share_no_upload(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clients = []

    def stage(*words: Any, **_: Any) -> None:
        clients.append(words[4])

    monkeypatch.setattr("slipway.dataset.stage.stage", stage)
    monkeypatch.setattr("slipway.steps.data.use_folder", lambda *_: False)
    monkeypatch.setattr(Session, "open_scratch", lambda *_: nullcontext((None, None)))
    session = Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "file").touch()
    for name in ("hpc", "hpc-gpu", "hpc"):
        site = SlurmSite(name=name, login=Login(host="hpc"), paths=Paths(scratch="/s"))
        stage_step(session, site, tmp_path / "data", None)
    assert clients[0] == clients[2] != clients[1]


def test_a_checkouts_own_name(tmp_path: Path) -> None:
    one, two = (
        Project(root=tmp_path, state=tmp_path / name, results=tmp_path / "results") for name in ("1", "2")
    )
    assert one.client == one.client != two.client
    assert len(one.client) == 8
    assert [file.name for file in one.state.iterdir()] == ["client"]


WAIT = """
import pathlib, sys
from slipway.lock import is_locked, only_one
with only_one(pathlib.Path(sys.argv[1]), lambda: print("waiting", flush=True)):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_ctrl_c_ends_the_waiting_and_a_killed_process_lets_go(tmp_path: Path) -> None:
    file = tmp_path / "locks" / "lock"
    argv = [sys.executable, "-c", WAIT, str(file)]
    with (
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as first,
        subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as two,
    ):
        said = {process: process.stdout.readline() for process in (first, two)}  # type: ignore[union-attr]
        assert sorted(said.values()) == [b"held\n", b"waiting\n"]
        holder, waiter = sorted(said, key=lambda process: said[process])
        waiter.send_signal(signal.SIGINT)
        waiter.wait(PATIENCE_S)
        assert waiter.returncode == -signal.SIGINT
        assert is_locked(file)
        holder.kill()
        holder.wait(PATIENCE_S)
        assert not is_locked(file)
