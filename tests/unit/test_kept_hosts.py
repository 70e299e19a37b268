"""Connections that a watch keeps, and what it does while a site does not answer. The hosts are stand-ins."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from slipway.errors import LoginError, RemoteError, SlipwayError, UnreachableError
from slipway.job.run import Run, Status
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.steps.kept_hosts import KeptHosts, KeptHostsSession
from slipway.steps.watch import Watch
from tests.unit.test_run import make_run


@dataclass
class Line:
    """A host that is a stand-in, and whether it can be reached."""

    is_lost: bool = False
    is_closed: bool = False

    def close(self) -> None:
        self.is_closed = True


@dataclass
class Network:
    """Counts logins, and refuses them with ``error``; its clock stands still unless it is moved."""

    error: SlipwayError | None = None
    now: float = 100.0
    lines: list[Line] = field(default_factory=list)
    asked: int = 0

    def log_in(self, _: object) -> Any:
        self.asked += 1
        if self.error:
            raise self.error
        self.lines.append(Line())
        return self.lines[-1]


@dataclass
class Named:
    name: str


SITE: Any = Named("hpc")


def use(hosts: KeptHosts, network: Network, act: Callable[[Any], object] = lambda host: None) -> None:
    with hosts.use(SITE, network.log_in) as host:
        act(host)


def test_one_login_serves_many_questions_and_a_lost_line_is_made_again() -> None:
    network = Network()
    hosts = KeptHosts(lambda: network.now)
    for _ in range(3):
        use(hosts, network)
    assert (network.asked, hosts.troubles()) == (1, {})
    network.lines[0].is_lost = True
    use(hosts, network)
    assert (network.asked, network.lines[0].is_closed) == (2, True)
    hosts.close()
    assert network.lines[1].is_closed


def test_a_site_that_does_not_answer_is_left_alone_for_longer_and_longer() -> None:
    network = Network(error=UnreachableError("no answer"))
    hosts = KeptHosts(lambda: network.now)
    waits = []
    for _ in range(8):
        with pytest.raises(UnreachableError):
            use(hosts, network)
        (wait_s,) = hosts.troubles().values()
        assert wait_s is not None
        waits.append(wait_s)
        network.now += wait_s / 2
        with pytest.raises(UnreachableError, match="no answer"):
            use(hosts, network)  # Nobody is asked.
        network.now += wait_s
    assert (waits, network.asked) == ([2, 4, 8, 16, 32, 60, 60, 60], 8)
    network.error = None
    use(hosts, network)
    assert hosts.troubles() == {}


def test_a_command_that_fails_keeps_the_line_but_waits_too() -> None:
    def fail(_: object) -> None:
        raise RemoteError("quota")

    network = Network()
    hosts = KeptHosts(lambda: network.now)
    with pytest.raises(RemoteError):
        use(hosts, network, fail)
    assert (hosts.troubles(), network.lines[0].is_closed) == ({"hpc": 2.0}, False)


def test_a_login_that_is_refused_is_not_tried_again() -> None:
    network = Network(error=LoginError("wrong password"))
    hosts = KeptHosts(lambda: network.now)
    for _ in range(3):
        with pytest.raises(LoginError):
            use(hosts, network)
        network.now += 1e6
    assert (network.asked, hosts.troubles(), hosts.is_hopeless) == (1, {"hpc": None}, True)


def a_run(state: State, **more: Any) -> Run:
    return replace(make_run("k3f9"), site="hpc", status=Status(state=state, **more))


Answer = Run | SlipwayError


def watch(folder: Path, *answers: Answer, interval_s: float | None = None) -> Watch:
    """A watch of one run; the site answers so, one after the other, and writes down how it stands."""
    session = KeptHostsSession(project=Project.find(folder), hosts=KeptHosts(lambda: 0.0))
    left = list(answers)

    def list_now(session: KeptHostsSession) -> tuple[list[Run], SlipwayError | None]:
        answer = left.pop(0)
        if isinstance(answer, Run):
            session.store.save(answer)
            return [answer], None
        with pytest.raises(SlipwayError):
            use(session.hosts, Network(error=answer))
        return [a_run(State.UNKNOWN, note=str(answer))], answer

    return Watch(session, list_now, interval_s)


def test_where_nobody_answers_runs_are_shown_as_they_were_last_known(tmp_path: Path) -> None:
    running = a_run(State.RUNNING, elapsed_s=5)
    watching = watch(tmp_path, running, UnreachableError("hpc: no answer"))
    assert watching.ask().trouble is None
    lost = watching.ask()
    assert [run.status for run in lost.runs] == [running.status]
    assert lost.trouble == ("hpc: no answer\nWhat is shown is what was known last; hpc is asked again in 2 s")
    assert not lost.is_over


def test_where_no_site_lets_us_in_the_watch_ends(tmp_path: Path) -> None:
    with pytest.raises(LoginError):
        watch(tmp_path, LoginError("hpc: wrong password")).ask()


def test_the_pause_grows_while_nothing_changes(tmp_path: Path) -> None:
    runs = [a_run(State.RUNNING, elapsed_s=number) for number in range(7)]
    watching = watch(tmp_path, *runs, a_run(State.COMPLETED, reason="ok"))
    assert [watching.ask().next_s for _ in runs] == [5, 7.5, 11.25, 16.875, 25.3125, 30, 30]
    over = watching.ask()
    assert (over.next_s, over.is_over) == (5, True)
    fixed = watch(tmp_path, *runs[:3], interval_s=2)
    assert [fixed.ask().next_s for _ in range(3)] == [2, 2, 2]
