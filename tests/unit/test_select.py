"""Runs selected by what a user says of them, and found by what they are called."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from slipway.completion.kinds import CHOICES
from slipway.errors import UsageError
from slipway.job.run import Run, Status
from slipway.job.selection import ALL, parse_since, parse_states
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.steps.cancel import find_named
from slipway.steps.find import find_run
from slipway.steps.refresh import refresh
from slipway.steps.select import select_runs
from slipway.steps.session import Session
from slipway.steps.status import list_runs
from tests.unit.test_run import make_run

NOW = datetime.now(timezone.utc)


class Notes(NullProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "env").mkdir()
    (tmp_path / "env" / ".env.base").touch()
    (tmp_path / "cluster" / "hpc.yaml").write_text("login: {host: hpc.invalid}\npaths: {scratch: /s}\n")
    project = Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results")
    return Session(project=project, progress=Notes())


@pytest.fixture
def keep(session: Session) -> Callable[..., Run]:
    """Write down a run that was submitted some days ago."""

    def keep(run_id: str, days: float = 0, state: State = State.COMPLETED, **values: object) -> Run:
        run = make_run(f"{run_id}-cpu-20260131-142530", NOW - timedelta(days=days))
        run = replace(run, status=Status(state=state), site="hpc", **values)
        session.store.save(run)
        return run

    return keep


def listed(session: Session, count: int = 20, **asked: object) -> list[str]:
    runs, error = list_runs(session, select_runs(session, **asked), count)
    assert error is None
    return [run.run_id[:4] for run in runs]


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({}, ["aaaa", "bbbb", "cccc", "dddd", "eeee"]),
        ({"site": "hpc"}, ["aaaa", "bbbb", "cccc", "dddd"]),
        ({"site": "gone"}, ["eeee"]),
        ({"profile": "lab"}, ["cccc"]),
        ({"profile": "droid-slam"}, []),
        ({"state": ["failed"]}, ["bbbb", "cccc"]),
        ({"state": ["failed,out-of-memory", "TIMEOUT"]}, ["bbbb", "cccc", "dddd", "eeee"]),
        ({"since": "2d"}, ["aaaa", "bbbb"]),
        ({"since": "2000-01-01"}, ["aaaa", "bbbb", "cccc", "dddd", "eeee"]),
        ({"name": "rpy"}, ["bbbb", "dddd"]),
        ({"name": "rpy", "since": "2d"}, ["bbbb"]),
        ({"state": ["FAILED"], "since": "3w", "name": "rpy-long", "profile": "lab", "site": "hpc"}, ["cccc"]),
        ({"run": ["cc", "aaaa", "rpy-l"]}, ["aaaa", "cccc"]),
        ({"run": ["cc", "aaaa"], "state": ["FAILED"]}, ["cccc"]),
        ({"over": True}, ["aaaa", "bbbb", "cccc", "dddd", "eeee"]),
        ({"over": False}, []),
    ],
)
def test_filters_combine(
    session: Session, keep: Callable[..., Run], asked: dict[str, object], found: list[str]
) -> None:
    keep("aaaa")
    keep("bbbb", 1, State.FAILED, name="rpy")
    keep("cccc", 10, State.FAILED, name="rpy-long", profile="lab")
    keep("dddd", 100, State.TIMEOUT, name="rpy")
    gone = keep("eeee", 400, State.OUT_OF_MEMORY)
    session.store.save(replace(gone, site="gone"))
    assert listed(session, **asked) == found
    assert listed(session, 1, **asked) == found[:1]


def test_by_state_those_that_go_on_are_asked_first(
    session: Session, keep: Callable[..., Run], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record may say PENDING of a run that runs by now, or is over. The cluster is a fake."""
    keep("aaaa", state=State.PENDING)
    keep("bbbb", 1, state=State.PENDING)
    keep("cccc", 2, state=State.RUNNING)
    keep("dddd", 3)
    now = {"aaaa": State.RUNNING, "bbbb": State.PENDING, "cccc": State.COMPLETED}

    def answer(session: Session, host: object, runs: list[Run]) -> list[Run]:
        return [replace(run, status=Status(state=now[run.run_id[:4]])) for run in runs]

    monkeypatch.setattr("slipway.steps.refresh.refresh", answer)
    monkeypatch.setattr(Session, "connect", lambda *_: nullcontext())
    assert listed(session, state=["RUNNING"]) == ["aaaa"]
    assert listed(session, state=["PENDING"]) == ["bbbb"]
    assert listed(session, state=["COMPLETED"]) == ["cccc", "dddd"]
    assert listed(session, 1, state=["PENDING"]) == ["bbbb"]
    assert listed(session, over=True) == ["cccc", "dddd"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"site": "hcp"}, r"--site hcp: there is no such site \(did you mean hpc\?\); sites: .*hpc"),
        ({"profile": "cpuu"}, r"--profile cpuu: there is no such profile \(did you mean cpu\?\); profiles: "),
        ({"name": "rpi"}, r"--name rpi: no run has this name \(did you mean rpy\?\)$"),
        (
            {"state": ["FAILED,RUNING"]},
            r"--state RUNING: there .* \(did you mean RUNNING\?\); states: PENDING",
        ),
        ({"state": [""]}, r"--state : there is no such state; states: "),
        ({"since": "3 days"}, r"--since 3 days: write how long ago, such as 3d"),
        ({"since": "999999w"}, r"--since 999999w: write"),
        ({"since": "0001-01-01"}, r"--since 0001-01-01: write"),
        ({"run": [""]}, "'' names no run"),
        ({"run": ["x"]}, "no run's id or name starts with 'x'"),
        ({"run": ["rpq"]}, r"starts with 'rpq' \(did you mean rpy\?\)"),
    ],
)
def test_what_is_not_known_is_refused(
    session: Session, keep: Callable[..., Run], asked: dict[str, object], message: str
) -> None:
    keep("aaaa", name="rpy")
    with pytest.raises(UsageError, match=message):
        select_runs(session, **asked)


def test_times_and_states_as_they_are_written() -> None:
    ago = {"90m": timedelta(minutes=90), "12h": timedelta(hours=12), "3d": timedelta(days=3)}
    for text, span in {**ago, "2w": timedelta(weeks=2)}.items():
        assert parse_since(text, NOW) == NOW - span
    assert parse_since("2026-11-01", NOW) == datetime(2026, 11, 1).astimezone()
    assert parse_since("2026-11-01T14:30", NOW) == datetime(2026, 11, 1, 14, 30).astimezone()
    assert parse_since("2026-11-01 14:30:05Z", NOW) == datetime(2026, 11, 1, 14, 30, 5, tzinfo=timezone.utc)
    assert parse_states(["node-fail, Timeout"]) == {State.NODE_FAIL, State.TIMEOUT}
    # Tab offers them.
    assert parse_states(CHOICES["--state"]) == frozenset(State)


def test_of_runs_with_one_name_it_is_the_newest(session: Session, keep: Callable[..., Run]) -> None:
    keep("aaaa", 2, name="rpy-long")
    keep("bbbb", 1, name="rpy-long")
    keep("cccc", 3, name="rpy-long")
    assert isinstance(session.progress, Notes)
    for word in ("rpy-long", "rpy"):
        session.progress.notes.clear()
        assert find_run(session, word)[0].run_id.startswith("bbbb")
        (said,) = session.progress.notes
        assert said.startswith(
            "rpy-long is the name of 3 runs; this is the newest, bbbb-cpu-20260131-142530."
        )
        assert said.endswith("`invoke status --name rpy-long` lists them")


def test_of_runs_with_one_name_only_one_that_goes_on_is_ended(
    session: Session, keep: Callable[..., Run]
) -> None:
    keep("aaaa", 1, name="rpy")
    keep("bbbb", 2, State.RUNNING, name="rpy")
    assert find_run(session, "rpy")[0].run_id.startswith("aaaa")
    assert find_named(session, ["rpy"])[0].run_id.startswith("bbbb")
    keep("cccc", 3, State.PENDING, name="rpy")
    said = r"rpy is the name of 2 runs that are not over: bbbb\S*, cccc\S*; write the id of one, or `invoke"
    with pytest.raises(UsageError, match=said):
        find_named(session, ["rpy"])


def test_a_whole_name_goes_before_beginnings(session: Session, keep: Callable[..., Run]) -> None:
    keep("aaaa", name="rpy")
    keep("bbbb", name="rpy-long")
    keep("rpyy", name="x")
    assert find_run(session, "rpy")[0].run_id.startswith("aaaa")
    assert find_run(session, "rpyy-cpu-20260131-142530")[0].name == "x"
    for word, said in {
        "rp": r"aaaa\S* \(rpy\), bbbb\S* \(rpy-long\), rpyy\S* \(x\)",
        # Two ids begin so, if their names are one all the same.
        "k3": r"k3f9\S* \(same\), k3x2\S* \(same\)",
    }.items():
        keep("k3f9", name="same")
        keep("k3x2", name="same")
        with pytest.raises(UsageError, match=f"{word!r} is the beginning of several runs' .*: {said}; write"):
            find_run(session, word)


def test_nothing_is_asked_about_a_run_that_is_over(session: Session, keep: Callable[..., Run]) -> None:
    over = keep("aaaa", 400, State.FAILED)
    before = (session.store.folder / f"{over.run_id}.json").read_bytes()
    nobody: Any = None
    assert refresh(session, nobody, [over, over]) == [over, over]
    assert (session.store.folder / f"{over.run_id}.json").read_bytes() == before
    # Its site's file may even be gone.
    (session.project.root / "cluster" / "hpc.yaml").unlink()
    assert list_runs(session, ALL, 20) == ([over], None)
