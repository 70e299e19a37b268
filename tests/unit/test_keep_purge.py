"""What is about to be purged: what is asked, remembered and said."""

import json
import os
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.home import Home, now, write_home
from slipway.keep.purge import ask_survey, describe_purge, find_due, forget_survey
from slipway.keep.survey import Item, Survey, Uses
from slipway.project import Project
from slipway.shell import Result
from slipway.steps import purge
from slipway.steps.purge import ask_purge, purge_warnings
from slipway.steps.session import Session
from tests.unit.test_keep_survey import DAY_S, SIF, make_run
from tests.waiting import PATIENCE_S

SITE = "login: {host: hpc}\nscheduler: slurm\npaths: {scratch: /s}\n"


class Here:
    """This machine in the place of the cluster."""

    target = "here"

    def __init__(self) -> None:
        self.asked = 0

    def run(self, argv: Sequence[str], **_: object) -> Result:
        self.asked += 1
        done = subprocess.run(argv, capture_output=True, text=True, check=False, timeout=PATIENCE_S)
        return Result(argv=tuple(argv), exit_code=done.returncode, stdout=done.stdout, stderr=done.stderr)


def item(kind: str, name: str, unused_d: float, now_s: float) -> Item:
    return Item(kind=kind, name=name, files=1, unused_s=int(now_s - unused_d * DAY_S))


def test_what_is_due_and_what_to_do() -> None:
    now_s = 2_000_000_000
    scratch = [
        item("runs", "a", 59.5, now_s),
        item("runs", "b", 56, now_s),
        item("runs", "kept", 59, now_s),
        item("runs", "young", 52, now_s),
        replace(item("runs", "empty", 0, now_s), unused_s=None),
        item("data", "photos", 70, now_s),
        item("data", ".photos.0123.part", 70, now_s),
        item("images", SIF, 58, now_s),
        item("images", "cpu-older.sif", 58, now_s),
        item("code", "tree", 58, now_s),
    ]
    survey = Survey(scratch=scratch, kept=frozenset({"runs-kept"}), uses=Uses(newest=frozenset({SIF})))
    due = find_due(survey, 60, now_s)
    assert [one.name for one in due] == ["photos", "a", SIF, "b"]
    assert describe_purge(due, "hpc", 60, now_s) == [
        (
            "2 runs are about to be purged at hpc: a (any day), b (in 4 d); "
            "`invoke pull RUN` brings one home, `invoke keep RUN` keeps it there"
        ),
        (
            "1 dataset is about to be purged at hpc: photos (any day); "
            "`invoke keep --data NAME --site hpc` keeps one"
        ),
        (
            f"1 image is about to be purged at hpc: {SIF} (in 2 d); "
            "`invoke keep --image NAME --site hpc` keeps one"
        ),
    ]
    assert describe_purge([], "hpc", 60, now_s) == []


def test_nobody_waits_for_the_answer(tmp_path: Path) -> None:
    root = tmp_path / "slipway"
    (root / "images").mkdir(parents=True)
    photo = root / "data" / "photos" / "a.png"
    photo.parent.mkdir(parents=True)
    photo.write_text("a")
    here = cast(Host, Here())
    scratch, kept = Scratch(root=PurePosixPath(root)), PurePosixPath(tmp_path / "kept")
    (root / "runs").mkdir()
    assert ask_survey(here, scratch, kept) is None
    deadline = time.monotonic() + PATIENCE_S
    while (survey := ask_survey(here, scratch, kept)) is None:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert [one.path for one in survey.scratch] == ["data/photos"]
    # It is not looked again on the same day, unless something was changed.
    file = root / ".survey"
    before = file.stat().st_mtime_ns
    ask_survey(here, scratch, kept)
    time.sleep(0.5)
    assert file.stat().st_mtime_ns == before
    assert file.stat().st_mode & 0o777 == 0o600
    forget_survey(here, scratch)
    assert ask_survey(here, scratch, kept) is None


def test_no_scratch_is_no_mistake(tmp_path: Path) -> None:
    scratch = Scratch(root=PurePosixPath(tmp_path / "none"))
    assert ask_survey(cast(Host, Here()), scratch, PurePosixPath(tmp_path)) is None


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "hpc.yaml").write_text(SITE + "scratch_purge_days: 60\n")
    return Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))


def test_a_site_is_asked_once_a_day(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    survey = Survey(scratch=[item("data", "photos", 58, time.time()), item("data", "later", 45, time.time())])
    answers: list[Survey | None] = [None, survey, survey]

    def ask(*words: object) -> Survey | None:
        asked.append(words)
        return answers.pop(0)

    monkeypatch.setattr("slipway.keep.purge.ask_survey", ask)
    monkeypatch.setattr(purge, "kept_folder", lambda host, site: PurePosixPath("/home/kept"))
    here = cast(Host, Here())
    ask_purge(session, here, "hpc")
    assert purge_warnings(session) == []
    ask_purge(session, here, "hpc")
    assert len(asked) == 1
    file = session.project.state / "purge" / "hpc.json"

    def earlier(seconds: float) -> None:
        os.utime(file, (time.time() - seconds,) * 2)

    earlier(400)  # There was no answer yet.
    ask_purge(session, here, "hpc")
    assert len(asked) == 2
    assert ["photos (in 1 d)" in line for line in purge_warnings(session)] == [True]
    earlier(20 * 3600)
    ask_purge(session, here, "hpc")
    assert len(asked) == 2
    # What is remembered grows older without anybody being asked.
    earlier(10 * DAY_S)
    rows = json.loads(file.read_text())
    rows["due"] = [[kind, name, unused - 10 * DAY_S] for kind, name, unused in rows["due"]]
    file.write_text(json.dumps(rows))
    assert "2 datasets are about to be purged" in purge_warnings(session)[0]
    earlier(15 * DAY_S)
    assert purge_warnings(session) == []
    ask_purge(session, here, "hpc")
    assert len(asked) == 3
    (session.project.root / "cluster" / "hpc.yaml").write_text(SITE)
    ask_purge(session, here, "hpc")
    assert (len(asked), file.exists()) == (3, False)


def test_runs_that_are_home_or_kept_are_not_named(session: Session) -> None:
    for run_id, kept in (("lost", None), ("home", None), ("kept", "/home/kept/runs/kept")):
        session.store.save(replace(make_run(run_id), kept=kept))
    folder = session.project.results / "home"
    folder.mkdir(parents=True)
    write_home(Home(folder=folder, is_complete=True, brought=now()))
    file = session.project.state / "purge" / "hpc.json"
    file.parent.mkdir(parents=True)
    old = int(time.time() - 59 * DAY_S)
    due = [["runs", run_id, old] for run_id in ("lost", "home", "kept", "of-another-checkout")]
    file.write_text(json.dumps({"days": 60, "due": due}))
    [line] = purge_warnings(session)
    assert line.startswith("1 run is about to be purged at hpc: lost (")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"days": 60, "due": [[1]]}', '{"days": "x", "due": []}'])
def test_a_broken_memory_says_nothing(session: Session, text: str) -> None:
    file = session.project.state / "purge" / "hpc.json"
    file.parent.mkdir(parents=True)
    file.write_text(text)
    assert purge_warnings(session) == []
