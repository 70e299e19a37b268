"""Runs of this machine that are not over."""

from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import UsageError
from slipway.job.run import LOCAL, Run, Status
from slipway.job.selection import ALL
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.steps.cancel import find_alive
from slipway.steps.details import find_details
from slipway.steps.find import find_run
from slipway.steps.session import Session
from slipway.steps.status import list_runs
from tests.unit.test_run import make_run


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))


@pytest.fixture
def run(session: Session) -> Run:
    status = Status(state=State.RUNNING, started_s=1)
    found = replace(make_run("k3f9"), site=LOCAL, status=status, job_id=None)
    session.store.save(found)
    return found


def test_one_that_runs_is_asked_of_nobody(session: Session, run: Run) -> None:
    session.store.forget(run)
    with session.store.submitting(run):
        (found,), error = list_runs(session, ALL, 9)
        assert (found.state, error) == (State.RUNNING, None)
        assert (found.status.elapsed_s or 0) > 1
        assert find_details(session, run.run_id).run.state is State.RUNNING
        assert find_alive(session, ALL) == []
        with pytest.raises(UsageError, match="Ctrl-C ends it where `invoke job --local` was started"):
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
