"""A run that is over by its record: nobody has to log in to be told, who wants to get into it."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from slipway.errors import JobError
from slipway.job.run import Run, Status
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.site import Site
from slipway.steps.editor import serve_proxy
from slipway.steps.session import Session
from slipway.steps.shell import Joining, join_shell
from slipway.steps.tunnel import TunnelRequest, tunnel
from slipway.tunnel.port import PortPair
from tests.unit.test_run import make_run


class LoggedInError(Exception):
    """Somebody has logged in."""


@dataclass(frozen=True, kw_only=True)
class Alone(Session):
    """A session that says where it would log in."""

    def log_in(self, site: Site) -> None:  # type: ignore[override]
        raise LoggedInError(site.name)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    (tmp_path / "cluster").mkdir()
    (tmp_path / "cluster" / "box.yaml").write_text("login: {host: hpc.invalid}\npaths: {scratch: /s}\n")
    return Alone(project=Project(root=tmp_path, state=tmp_path / "state", results=tmp_path / "results"))


def shell(session: Session, run: Run) -> None:
    join_shell(session, run.run_id, Joining(words=(), attach=lambda _, __: 0, terminal=True))


def lead(session: Session, run: Run) -> None:
    ports = PortPair(remote=80, local=0)
    tunnel(session, TunnelRequest(site=session.site("box"), ports=ports, run=run), lambda _: None)


def proxy(session: Session, run: Run) -> None:
    serve_proxy(session, run, session.site("box"), None)


@pytest.mark.parametrize("way", [shell, lead, proxy])
@pytest.mark.parametrize("tasks", [(), (3, 4)])
def test_a_run_that_is_over_is_told_without_a_login(
    session: Session, way: Callable[[Session, Run], None], tasks: tuple[int, ...]
) -> None:
    run = replace(make_run("k3f9-cpu-20260131-142530"), status=Status(state=State.FAILED), job_id="7")
    run = replace(run, task_indices=tasks)
    session.store.save(run)
    with pytest.raises(JobError, match=r"k3f9-cpu-20260131-142530 is over \(FAILED\)"):
        way(session, run)


@pytest.mark.parametrize("way", [shell, lead, proxy])
def test_one_that_may_run_is_asked_for(session: Session, way: Callable[[Session, Run], None]) -> None:
    run = replace(make_run("k3f9-cpu-20260131-142530"), status=Status(state=State.RUNNING), job_id="7")
    session.store.save(run)
    with pytest.raises(LoggedInError):
        way(session, run)
