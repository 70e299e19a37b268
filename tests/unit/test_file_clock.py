"""Ages by the clock of the files, where this machine's own is off by hours."""

import os
import subprocess
import time
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from typing import cast

import pytest

from slipway.host.file_clock import FILE_CLOCK
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.submit import _locked_s
from slipway.keep.survey import Survey
from slipway.monitor.claim import make_claims, read_claims
from slipway.monitor.there import claim as claims_there
from slipway.project import Project
from slipway.push.prune import _YOUNG
from slipway.shell import LocalShell
from slipway.steps import prune
from slipway.steps.session import Session

HOUR_S = 3600
SHELL = LocalShell()
HERE = cast("Host", SimpleNamespace(run=SHELL.run, check=SHELL.run))


@pytest.fixture(params=[-7, 7])
def hours(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> int:
    """What `date` and Python say is off by so many hours; what a file gets is right."""
    program = tmp_path / "bin" / "date"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec /usr/bin/env -i /bin/date -d "{request.param} hours" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:{os.environ['PATH']}")
    right = time.time
    monkeypatch.setattr(time, "time", lambda: right() + request.param * HOUR_S)
    assert abs(int(run_script("date +%s")) - time.time()) < 60
    return int(request.param)


def run_script(script: str, *words: object) -> str:
    argv = ["sh", "-c", script, "slipway", *map(str, words)]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout


def test_the_clock_of_files(hours: int, tmp_path: Path) -> None:
    place = tmp_path / "folder"
    place.mkdir()
    now_s = place.stat().st_mtime
    script = f'{FILE_CLOCK}file_clock "$1"; clock_ahead_minutes "$1"'
    there_s, ahead = map(int, run_script(script, place / "probe").split())
    assert abs(there_s - now_s) < 60
    assert ahead in ((420, 421) if hours > 0 else (0,))
    assert not [*place.iterdir()]
    assert abs(claims_there.file_clock(place) - now_s) < 60
    assert not [*place.iterdir()]


def test_without_a_file_it_is_this_machines(hours: int, tmp_path: Path) -> None:
    there_s = int(run_script(f'{FILE_CLOCK}file_clock "$1"', tmp_path / "none" / "probe"))
    assert abs(there_s - time.time()) < 60
    assert abs(claims_there.file_clock(tmp_path / "none") - time.time()) < 60


def test_a_run_that_was_claimed_just_now(hours: int, tmp_path: Path) -> None:
    (tmp_path / "claim").symlink_to("submitting-1")
    assert -2 <= _locked_s(HERE, PurePosixPath(tmp_path)) < 60
    subprocess.run(["touch", "-h", "-d", "-1 hour", str(tmp_path / "claim")], check=True)
    assert HOUR_S - 2 <= _locked_s(HERE, PurePosixPath(tmp_path)) < HOUR_S + 60


def test_a_try_that_was_claimed_just_now(hours: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    scratch = Scratch(root=PurePosixPath(tmp_path))
    make_claims(HERE, scratch, "old", {None: 1}, "new")
    assert -2 <= read_claims(HERE, scratch, ["old"])["old", None].age_s < 60
    monkeypatch.chdir(tmp_path)
    assert -2 <= claims_there.read_claims(["old"])["old", None].age_s < 60


def test_a_run_may_be_under_way_by_a_clock_that_is_ahead(hours: int, tmp_path: Path) -> None:
    """`find` goes by the machine's clock: to one that is 7 hours ahead, what is new looks 7 hours old."""
    (tmp_path / "runs" / "new").mkdir(parents=True)
    record = tmp_path / "runs" / "new" / "run.json"
    record.touch()
    os.utime(record, (record.stat().st_mtime - 6 * HOUR_S,) * 2)
    assert run_script(_YOUNG, tmp_path / "runs", 15).split() == (["new"] if hours > 0 else [])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bin", "runs"]


@pytest.mark.parametrize("there_s", [1_900_000_000, None])
def test_what_is_old_is_so_by_the_clusters_clock(
    there_s: int | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))
    monkeypatch.setattr(prune, "_active", lambda *_: frozenset())
    monkeypatch.setattr(time, "time", lambda: 2_000_000_000.0)
    site = SimpleNamespace(name="hpc")
    known = prune._known(session, HERE, site, Survey(now_s=there_s))  # type: ignore[arg-type]
    assert known.now_s == (there_s or 2_000_000_000.0)
