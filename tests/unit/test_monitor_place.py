"""Monitors on a cluster that begin, live, stop and die: processes here, beside stand-ins for SLURM."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.errors import ParseError, RemoteError
from slipway.host.host import Host
from slipway.job.run import Run
from slipway.monitor import there_host
from slipway.monitor.order import MonitorJob
from slipway.monitor.there import place as places
from slipway.monitor.there.loop import Loop
from slipway.monitor.there.place import Holder, Place, me
from slipway.monitor.there_host import There
from slipway.shell import LocalShell, Result
from tests.unit.monitor_there import Cluster, cluster
from tests.waiting import wait_until

__all__ = ["cluster"]


class Here:
    """In the place of a connection: what would run there runs here."""

    target = "h"

    def run_in_login_shell(
        self,
        argv: Sequence[str],
        *,
        stdin: Sequence[bytes] = (),
        stdin_bytes: int = 0,
        timeout_s: float = 60,
    ) -> Result:
        done = subprocess.run(
            [*argv], input=b"".join(stdin), capture_output=True, timeout=timeout_s, check=False
        )
        out, err = done.stdout.decode(), done.stderr.decode()
        return Result(argv=tuple(argv), exit_code=done.returncode, stdout=out, stderr=err)

    def is_folder(self, path: PurePosixPath) -> bool:
        return Path(path).is_dir()

    def read(self, path: PurePosixPath, offset: int = 0, most_bytes: int | None = None) -> bytes:
        return Path(path).read_bytes()[offset:]


HOST = cast("Host", Here())


def find_python() -> str:
    """The oldest Python that it is for, where this machine has one; else that of the tests."""
    oldest = shutil.which("python3.6")
    works = oldest and subprocess.run([oldest, "-V"], capture_output=True, check=False).returncode == 0
    return oldest if oldest and works else sys.executable


PYTHON = find_python()


class One:
    """A monitor of one run."""

    python = PYTHON

    def __init__(self, cluster: Cluster, run: Run, name: str = "one") -> None:
        self.cluster, self.run, self.name = cluster, run, name
        self.folder = cluster.root / "monitors" / name

    def start(self, job: MonitorJob | None = None) -> There:
        import json

        order = json.dumps(self.cluster.order([self.run], job=job, interval_s=0.1)).encode()
        file = there_host.send(HOST, self.cluster.scratch, self.name, order)
        return self.call("start" if job is None else "submit", file)

    def call(self, word: str, file: str = "") -> There:
        return there_host.call(HOST, self.cluster.scratch, self.python, word, self.name, file)

    def log(self) -> list[str]:
        return there_host.read_log(HOST, self.cluster.scratch, self.name, 0).decode().splitlines()

    def pid(self) -> int:
        return int(str((self.folder / "lock").readlink()).split()[1])


@pytest.fixture
def one(cluster: Cluster) -> Iterator[One]:
    made = One(cluster, cluster.run("first"))
    cluster.say(queue="7|first|RUNNING")
    yield made
    if (made.folder / "lock").is_symlink():
        os.kill(made.pid(), signal.SIGKILL)


def test_one_begins_and_another_joins_it(one: One) -> None:
    first = one.start()
    assert (first.state, first.began) == ("runs", True)
    assert first.where == f"{socket.gethostname()}, process {one.pid()}"
    again = one.start()
    assert (again.state, again.began, again.where) == ("runs", False, first.where)
    assert list(one.folder.glob("order-*")) == []
    # Its parent is gone, and so is its session.
    assert os.getsid(one.pid()) != os.getsid(0)
    wait_until(lambda: "1 element: 1 running" in one.log(), one.log)
    one.cluster.say(accounting="7|first|COMPLETED|0:0")
    one.cluster.ended("first", None, "ok", 0)
    wait_until(lambda: one.call("state").state == "ended", one.log)
    assert one.call("state").why == "over"
    assert one.log()[1:] == ["1 element: 1 running", "1 element: 1 ok", "all is over"]
    assert not (one.folder / "lock").is_symlink()
    # Another begins anew, with a log of its own.
    assert one.start().began is True
    assert (one.folder / "log.old").exists()


def test_it_submits_again_by_itself(one: One) -> None:
    one.cluster.say(accounting="7|first|OUT_OF_MEMORY|0:125")
    one.start()
    wait_until(one.cluster.submitted, one.log)
    wait_until(lambda: any(line.endswith("  job 100  1 element") for line in one.log()), one.log)
    assert "element n=None: out of memory with 1G → with 2G of memory, try 2 of 3" in one.log()


@pytest.mark.parametrize("locale", ["C", "C.UTF-8"])
def test_whatever_the_locale_and_the_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, locale: str
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    cluster = Cluster(tmp_path / "Ünïcode", monkeypatch)
    one = One(cluster, cluster.run("first", args=("é", "\udce9")))
    cluster.say(accounting="7|first|OUT_OF_MEMORY|0:125")
    assert one.start().began is True
    wait_until(lambda: any(line.endswith("  job 100  1 element") for line in one.log()), one.log)
    new_id = next(line.split()[1] for line in one.log() if line.startswith("run "))
    record = cluster.record(new_id)
    assert (record.args, record.run_dir) == (("é", "\udce9"), f"{cluster.root}/runs/{new_id}")
    assert cluster.submitted()[0][-1] == f"{cluster.root}/runs/{new_id}/job.sh"
    assert f"\nrun_dir='{record.run_dir}'\n" in (Path(record.run_dir) / "job.sh").read_text("utf-8")
    assert one.call("stop").state == "ended"


@pytest.mark.parametrize("how", ["stop", "term"])
def test_it_stops_when_it_is_told_to(one: One, how: str) -> None:
    one.start()
    if how == "stop":
        assert one.call("stop").state == "ended"
    else:
        os.kill(one.pid(), signal.SIGTERM)
    ended = wait_until(lambda: one.call("state") if not one.call("state").is_alive else None, one.log)
    assert (ended.why, ended.words) == ("stopped", "it was stopped; what is on the way goes on")
    assert one.log()[-1] == ended.words
    assert one.call("stop").state == "ended"


def test_one_that_was_killed_is_dead_and_another_takes_its_place(one: One) -> None:
    one.start()
    os.kill(one.pid(), signal.SIGKILL)
    wait_until(lambda: one.call("state").state == "dead", one.log)
    again = one.start()
    assert (again.state, again.began) == ("runs", True)


def test_a_mistake_is_told(one: One) -> None:
    file = there_host.send(HOST, one.cluster.scratch, one.name, b"{}")
    one.call("start", file)
    ended = wait_until(lambda: one.call("state") if one.call("state").state == "ended" else None, one.log)
    assert (ended.why, ended.words) == ("error", "KeyError: 'runs'")


JOB = MonitorJob(options=["--job-name=monitor", "--time=1"], script="#!/bin/sh\n", limit_s=0.4)


def test_as_a_job(one: One, monkeypatch: pytest.MonkeyPatch) -> None:
    # It waits, as squeue says.
    one.cluster.say()
    (one.cluster.folder / "bin/squeue").write_text(
        '#!/bin/sh\nif [ "$2" = --jobs=100 ]; then echo "slipway|PENDING"; else cat "$CLUSTER/queue"; fi\n'
    )
    first = one.start(JOB)
    assert (first.state, first.job, first.began) == ("waits", "100", True)
    assert one.start(JOB).began is False
    [options] = one.cluster.submitted()
    assert options == ["--parsable", *JOB.options, str(one.folder / "job.sh")]
    # Its time is up: it hands over to the next one, and lets go.
    one.cluster.say(queue="7|first|RUNNING")
    monkeypatch.setenv("SLURM_JOB_ID", "100")
    # These signals are the tests' own.
    monkeypatch.setattr("slipway.monitor.there.loop.signal.signal", lambda number, action: None)
    place = Place(one.name)
    assert place.take(me()) is None
    Loop(place, me()).run()
    assert one.log()[-1] == "this job's time is up; job 101 goes on"
    assert one.cluster.submitted()[1][:4] == ["--parsable", *JOB.options, "--dependency=afterany:100"]
    assert (place.job, place.holder()) == ("101", None)
    # Stopped before it has begun.
    (one.cluster.folder / "bin/squeue").write_text('#!/bin/sh\necho "slipway|PENDING"\n')
    monkeypatch.delenv("SLURM_JOB_ID")
    one.call("stop")
    assert (one.cluster.folder / "gone").read_text() == "101\n"


def test_a_job_that_is_refused(one: One) -> None:
    (one.cluster.folder / "refuse").write_text("Invalid partition")
    (one.cluster.folder / "bin/squeue").write_text("#!/bin/sh\n")
    refused = one.start(JOB)
    assert (refused.state, refused.why, refused.words) == ("ended", "refused", "Invalid partition")


def test_who_lives(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    (cluster.root / "monitors/one").mkdir()
    place, mine = Place("one"), me()
    assert place.lives(mine)
    assert not place.lives(mine._replace(began=1))
    assert not place.lives(mine._replace(pid=2**22 + 1))
    other = Holder("elsewhere", 1, 1, "-")
    assert not place.lives(other)
    place.beat()
    assert place.lives(other)
    # A job of which SLURM says that it is over, and the same job begun again on another node.
    (cluster.folder / "bin/squeue").write_text("#!/bin/sh\n")
    assert not place.lives(other._replace(job="9"))
    (cluster.folder / "bin/squeue").write_text('#!/bin/sh\necho "slipway|RUNNING"\n')
    assert place.lives(other._replace(job="9"))
    assert not place.lives(other._replace(job="9"), own_job="9")
    monkeypatch.setattr(places, "DEAD_S", 0)
    assert not place.lives(other)
    # Somebody else holds it; of a dead one it is taken.
    place.lock.symlink_to(other.word)
    assert place.take(mine) is None
    assert place.holder() == mine
    place.release(other)
    assert place.holder() == mine
    place.release(mine)
    assert place.holder() is None


def test_one_whose_place_was_taken_ends(one: One) -> None:
    one.start()
    pid = one.pid()
    (one.folder / "lock").unlink()
    (one.folder / "lock").symlink_to(f"elsewhere {pid} 1 -")
    wait_until(lambda: one.log()[-1] == "another monitor has taken its place", one.log)


def test_no_python_is_told_before_anything_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("sh", "cat"):
        (tmp_path / name).symlink_to(f"/bin/{name}")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(RemoteError, match=r"needs Python 3\.6 or newer, as python3; put one on PATH by"):
        there_host.find_python(HOST)
    old = tmp_path / "python3"
    old.write_text('#!/bin/sh\n[ "$1" = -V ] && echo "Python 3.4.10"\nexit 1\n')
    old.chmod(0o755)
    with pytest.raises(RemoteError, match=r"as python3 \(there is Python 3\.4\.10\); put one on PATH by"):
        there_host.find_python(HOST)
    (tmp_path / "python3.9").symlink_to(sys.executable)
    assert there_host.find_python(HOST) == str(tmp_path / "python3.9")


def test_answers_that_are_none() -> None:
    for text in ("", "hello\n", "slipway-monitor {\n", "slipway-monitor 3\n"):
        with pytest.raises(ParseError, match="expected how it stands"):
            there_host.parse_state(text)
    assert there_host.parse_state('hello\nslipway-monitor {"state": "runs", "new": 1}\n') == There(
        state="runs"
    )


def test_the_script_of_a_job(cluster: Cluster) -> None:
    script = there_host.job_script(cluster.scratch, "/usr/bin/python3", "one", ["#SBATCH --time=1"])
    assert script.splitlines()[:2] == ["#!/bin/bash -l", "#SBATCH --time=1"]
    assert script.splitlines()[-1] == f"exec /usr/bin/python3 -m slipway_monitor {cluster.root} run one"
    assert LocalShell().run(["bash", "-n"], stdin=script).ok


def test_beats(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    (cluster.root / "monitors/one").mkdir()
    monkeypatch.setattr(places, "BEAT_S", 0.01)
    place = Place("one")
    place.keep_beating()
    wait_until((cluster.root / "monitors/one/beat").exists, "a sign of life")
    assert time.time() - (cluster.root / "monitors/one/beat").stat().st_mtime < 60
    monkeypatch.setattr(places, "BEAT_S", 1e6)
