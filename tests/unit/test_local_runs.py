"""Runs of this machine that are not over."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from slipway.errors import JobError, UsageError
from slipway.job.run import LOCAL, Run, Status
from slipway.job.selection import ALL
from slipway.job.store import RunStore
from slipway.job.tail import LogPart
from slipway.local import job
from slipway.local.job import Ending, Limits, LocalJob
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.steps import local_runs
from slipway.steps.cancel import Cancelling, cancel, find_alive, find_named
from slipway.steps.details import find_details
from slipway.steps.find import find_run
from slipway.steps.local_logs import follow_here, print_here
from slipway.steps.local_runs import Place, end_here
from slipway.steps.logs import LogQuery
from slipway.steps.session import Session
from slipway.steps.status import list_runs
from tests.unit.test_run import make_run
from tests.waiting import wait_until


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))


@pytest.fixture
def run(session: Session) -> Run:
    status = Status(state=State.RUNNING, started_s=1)
    place = Place.of(session.project, "k3f9")
    found = replace(make_run("k3f9"), site=LOCAL, status=status, job_id=None, run_dir=str(place.home))
    session.store.save(found)
    return found


def test_one_that_runs_is_asked_of_nobody(session: Session, run: Run) -> None:
    session.store.forget(run)
    with session.store.submitting(run):
        (found,), error = list_runs(session, ALL, 9)
        assert (found.state, error) == (State.RUNNING, None)
        assert (found.status.elapsed_s or 0) > 1
        assert find_details(session, run.run_id).run.state is State.RUNNING
        assert find_alive(session, ALL) == [run]
        with pytest.raises(UsageError, match=f"`invoke cancel {run.run_id}` ends it"):
            find_run(session, run.run_id)


def test_what_is_left_of_one_stays_known_while_the_engine_cannot_be_asked(
    session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    (found,), error = list_runs(session, ALL, 9)
    assert (found.state, error) == (State.RUNNING, None)
    assert "its command was killed, and its container cannot be removed" in str(found.status.note)
    assert session.store.find(run.run_id).state is State.RUNNING


def test_one_that_has_ended_meanwhile_keeps_its_end(
    session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    from slipway.steps.local_runs import look_here

    ended = replace(run, status=Status(state=State.COMPLETED, reason="ok", exit_code=0))
    session.store.save(ended)
    assert look_here(session, [run]) == [ended]


@contextmanager
def command(session: Session, run: Run, ends: Callable[[Place], Ending]) -> Iterator[Place]:
    """In another thread, the command that a run belongs to; it goes on until ``ends`` gives its end."""
    place, has_begun = Place.of(session.project, run.run_id), threading.Event()
    place.attempt.mkdir(parents=True)
    session.store.forget(run)

    def act() -> None:
        with session.store.submitting(run):
            has_begun.set()
            end_here(session, run, ends(place), diff=None)

    thread = threading.Thread(target=act)
    thread.start()
    assert has_begun.wait(30)
    yield place
    thread.join()


def as_told(place: Place) -> Ending:
    """The program ends once it is told to."""
    wait_until(place.wish.exists, "nobody wants it to end")
    return Ending(exit_code=5, reason="cancelled", started_s=1, ended_s=2)


def test_cancel_has_the_command_end_its_program(session: Session, run: Run) -> None:
    with command(session, run, as_told) as place:
        ended, was_over = cancel(session, run.run_id)
    assert (ended.state, ended.status.exit_code, was_over) == (State.CANCELLED, 5, False)
    assert session.store.find(run.run_id) == ended
    assert not place.wish.exists()
    again, was_over = cancel(session, run.run_id)
    assert (again.state, was_over) == (State.CANCELLED, True)


def test_those_of_this_machine_are_cancelled_among_others(session: Session, run: Run) -> None:
    told = list[tuple[str, bool]]()
    with command(session, run, as_told):
        error = Cancelling(
            session=session, on_cancelled=lambda one, was_over: told.append((one.state.value, was_over))
        ).cancel(find_named(session, [run.run_id, run.run_id]), tell_over=True)
    assert (error, told) == (None, [("CANCELLED", False)])


def test_one_whose_command_is_gone_is_not_waited_for(
    session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(JobError, match="its container cannot be removed"):
        cancel(session, run.run_id)


def test_a_program_that_does_not_end_is_not_waited_for_for_ever(
    session: Session, run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local_runs, "KILL_WAIT_S", 0)
    monkeypatch.setattr(local_runs, "_KILLED_S", 0)
    session.store.forget(run)
    with session.store.submitting(run):
        assert cancel(session, run.run_id)[0].state is State.RUNNING
        assert Place.of(session.project, run.run_id).wish.exists()


def test_one_that_had_not_begun_leaves_nothing(session: Session, run: Run) -> None:
    session.store.forget(run)
    with pytest.MonkeyPatch.context() as patch, session.store.submitting(run):
        patch.setattr(local_runs.time, "sleep", lambda _: session.store.forget(run))
        patch.setattr(RunStore, "is_submitting", lambda store, run: store.has(run))
        ended, _ = cancel(session, run.run_id)
    assert (ended.state, ended.status.note) == (
        State.CANCELLED,
        "its program had not begun, and nothing is left of it",
    )
    assert not session.project.results.exists()


def test_follow_shows_all_that_comes_and_how_it_ended(session: Session, run: Run) -> None:
    said = list[str]()

    def ends(place: Place) -> Ending:
        place.log.write_bytes(b"one\ntwo\n\xc3")
        wait_until(lambda: "".join(said) == "two\n", "nothing is shown")
        with place.log.open("ab") as file:
            file.write(b"\xa4\nthree\n\xff")
        return Ending(exit_code=3, reason="program-error", started_s=1, ended_s=2)

    query = LogQuery(part=LogPart(last_lines=2))
    with command(session, run, ends) as place:
        # A file is there before what is written to it.
        wait_until(lambda: place.log.exists() and place.log.stat().st_size == 9, "no log")
        ended = follow_here(session, run, query, said.append)
    assert (ended.state, ended.status.exit_code) == (State.FAILED, 3)
    assert "".join(said) == "two\nä\nthree\n\udcff"
    said.clear()
    print_here(ended, LogQuery(), said.append)
    assert "".join(said) == "one\ntwo\nä\nthree\n\udcff"
    said.clear()
    # One that is over is shown at once.
    assert follow_here(session, ended, LogQuery(part=LogPart(last_lines=1)), said.append) == ended
    assert "".join(said) == "\udcff"


def test_what_is_followed_goes_on_without_a_reader(session: Session, run: Run) -> None:
    session.store.forget(run)
    with pytest.MonkeyPatch.context() as patch, session.store.submitting(run):
        patch.setattr("slipway.steps.local_logs.time.sleep", interrupt)
        with pytest.raises(KeyboardInterrupt, match=f"`invoke cancel {run.run_id}` ends it"):
            follow_here(session, run, LogQuery(), lambda _: None)


def interrupt(_: float) -> None:
    raise KeyboardInterrupt


def test_one_that_never_began_is_not_followed(session: Session, run: Run) -> None:
    session.store.forget(run)
    with pytest.raises(UsageError, match="its program did not begin"):
        follow_here(session, run, LogQuery(), lambda _: None)
    assert not session.project.results.exists()


class Container:
    """A container whose program ends when it is told to."""

    def __init__(self) -> None:
        self.told = list[str]()
        self.attrs = {"State": {"ExitCode": 5}}

    def kill(self, name: str) -> None:
        self.told.append(name)

    def start(self) -> None: ...

    def reload(self) -> None: ...

    def wait(self) -> None: ...

    def remove(self, **_: object) -> None: ...


def test_a_wish_ends_a_program_as_a_key_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    container, wish = Container(), tmp_path / "wish"

    def read(_: object, pieces: Any) -> None:
        pieces.put(b"go\n")
        wait_until(lambda: container.told, "it is not told to end")
        pieces.put(None)

    monkeypatch.setattr(job, "create", lambda *_: container)
    monkeypatch.setattr(job, "_attach", lambda *_: None)
    monkeypatch.setattr(job, "_read", read)
    wanted: Any = SimpleNamespace(name="c", config=lambda _: {"HostConfig": {}})
    local = LocalJob(None, wanted, Limits(), tmp_path, wish.exists)  # type: ignore[arg-type]
    ending = local.run(tmp_path / "log", lambda _: wish.touch())
    assert (container.told, ending.exit_code, ending.reason) == (["SIGTERM"], 5, "cancelled")
