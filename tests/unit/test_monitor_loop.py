"""The monitor's loop and words: what is told, and when it ends. Looks are made up, and nobody is asked."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from slipway.errors import ConfigError, LoginError, RemoteError, SlipwayError
from slipway.job.run import Status
from slipway.model import read_values
from slipway.monitor.decide import Decision
from slipway.monitor.rule import Rules
from slipway.monitor.spending import Budget, Spent
from slipway.project import Project
from slipway.report.monitor_lines import (
    counts_line,
    decision_lines,
    explain_lines,
    rule_lines,
    summary_lines,
)
from slipway.scheduler.base import State
from slipway.steps.kept_hosts import KeptHosts, KeptHostsSession
from slipway.steps.monitor import Monitor
from slipway.steps.monitor_loop import Told, keep_going
from slipway.steps.monitored import Look, Seen, Stands, Target, Watched
from slipway.steps.session import Session
from slipway.steps.try_again import Again
from tests.unit.test_monitor import SITE
from tests.unit.test_run import make_run
from tests.unit.test_table import make_sweep

RUNNING = Status(state=State.RUNNING)
FAILED = Status(state=State.FAILED, reason="program-error", exit_code=1)


def seen(
    stands: Stands, status: Status | None = None, words: str = "", log_end: str = "", number: int = 0
) -> Seen:
    watched = Watched(label=f"element n={number}", number=number, tries=((f"run{number}", number),))
    decision = Decision(words=words, again=stands is Stands.FAILED) if words else None
    return Seen(watched=watched, stands=stands, status=status, decision=decision, log_end=log_end)


def look(*some: Seen, reached: str | None = None, spent: Spent | None = None) -> Look:
    return Look(seen=some, spent=spent or Spent(), reached=reached)


OK = seen(Stands.OK)
GOING = seen(Stands.ON_ITS_WAY, RUNNING)
AGAIN = seen(Stands.FAILED, FAILED, "element n=0: out of memory → with 8G")
STOPPED = seen(Stands.STOPPED, FAILED, "element n=0: the program failed → stop", "one\n\x1b[31mtwo\x1b[0m\n")


class Made:
    """A monitor that sees what it is told to."""

    def __init__(self, *looks: Look | SlipwayError) -> None:
        self.looks = [*looks]
        self.acted: list[Look] = []

    def look(self) -> Look:
        found = self.looks.pop(0)
        if isinstance(found, SlipwayError):
            raise found
        return found

    def act(self, seen: Look) -> list[str]:
        self.acted.append(seen)
        return []


class Hopeless(KeptHosts):
    is_hopeless = True


def go(made: Sequence[Made], hosts: KeptHosts | None = None) -> tuple[list[Look], list[str], list[float]]:
    session = cast("KeptHostsSession", type("Session", (), {"hosts": hosts or KeptHosts()})())
    said: list[str] = []
    pauses: list[float] = []
    told = Told(lambda look, before: said.append(counts_line(look)), said.append)
    looks = keep_going(session, [cast("Monitor", one) for one in made], told, sleep=pauses.append)
    return looks, said, pauses


def test_it_looks_until_all_is_over_and_says_what_changes() -> None:
    made = Made(look(GOING), look(GOING), look(AGAIN), look(GOING), look(OK))
    looks, said, pauses = go([made])
    assert looks == [look(OK)]
    assert said == ["1 element: 1 running", "1 element: 1 failed", "1 element: 1 running", "1 element: 1 ok"]
    assert pauses == [5.0, 7.5, 5.0, 5.0]
    assert made.acted[2] == look(AGAIN)


def test_a_budget_ends_it_once_something_would_be_submitted() -> None:
    made = Made(look(GOING, reached="spent"), look(AGAIN, reached="spent"))
    assert go([made])[0] == [look(AGAIN, reached="spent")]


def test_what_passes_is_tried_again_and_told_once() -> None:
    lost = RemoteError("squeue could not be asked")
    made = Made(lost, lost, look(OK))
    _, said, _ = go([made])
    assert said == ["squeue could not be asked\nIt is tried again", "1 element: 1 ok"]


def test_one_site_goes_on_while_another_does_not_answer() -> None:
    one, two = Made(look(OK)), Made(RemoteError("no"), look(STOPPED))
    assert go([one, two])[0] == [look(OK), look(STOPPED)]


@pytest.mark.parametrize("error", [ConfigError("wrong"), LoginError("refused")])
def test_what_does_not_pass_ends_it(error: SlipwayError) -> None:
    with pytest.raises(type(error)):
        go([Made(error)], Hopeless())


def test_decisions_are_said_once_with_the_end_of_the_log_where_it_stops() -> None:
    first = look(STOPPED, replace(AGAIN, watched=replace(AGAIN.watched, number=1)))
    assert decision_lines(first, None) == [
        "element n=0: the program failed → stop",
        "    | one",
        "    | two",
        "element n=0: out of memory → with 8G",
    ]
    assert decision_lines(first, first) == []
    # What is not done is not said to be.
    assert decision_lines(look(AGAIN, reached="spent"), None) == []
    assert explain_lines(first)[0] == "2 elements: 1 stopped, 1 failed"


def test_the_summary() -> None:
    target = Target(site=SITE.model_copy(update={"currency": "EUR"}), elements=(), not_submitted=2)
    stood = look(
        OK, STOPPED, GOING, AGAIN, reached="--cost 5 is spent: 6.00 EUR", spent=Spent(gpu_hours=3, cost=6)
    )
    assert summary_lines(target, stood) == [
        "4 elements: 1 ok, 1 stopped, 1 running, 1 failed",
        "spent: 3.00 GPU-hours, 6.00 EUR",
        "--cost 5 is spent: 6.00 EUR: nothing more is submitted; what is on the way goes on: 1 element",
        "2 elements of the sweep not submitted yet; `invoke sweep` with the same file submits them",
        "  element n=0: the program failed → stop (run0 task 0)",
        "  element n=0: out of memory → with 8G (run0 task 0)",
    ]
    many = look(*[STOPPED] * 25)
    assert summary_lines(replace(target, not_submitted=0), many)[-1] == "  and 5 more"


def test_rules_in_words() -> None:
    rules = read_values(Rules, {"gpu_ladder": ("rtx:1", {"gpus": "a100:1", "partition": "big"})})
    lines = rule_lines(Target(site=SITE.model_copy(update={"monitor": rules}), elements=()))
    assert lines[0] == "rules of hpc (monitor in cluster/hpc.yaml):"
    assert "  out_of_memory: more-memory, times 2" in lines
    assert "  node_failure: again, not on a node on which 2 have failed so" in lines
    assert lines[-1] == "  gpu_ladder: rtx:1, a100:1 in big"


@pytest.mark.parametrize(("throttle", "alive", "submitted"), [(None, 9, 3), (4, 2, 2), (4, 4, 0), (4, 9, 0)])
def test_a_sweeps_throttle_holds_for_what_runs_again(
    throttle: int | None, alive: int, submitted: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = make_run("run0")
    tasks: list[int | None] = []

    def try_again(_: object, again: Again, *__: object) -> None:
        tasks.extend(again.claims)

    session = Session(project=Project(root=tmp_path, state=tmp_path, results=tmp_path))
    sweep = make_sweep([{"n": str(number)} for number in range(20)], throttle=throttle)
    monitor = Monitor(
        session=session,
        target=Target(site=SITE, elements=(), sweep=sweep),
        budget=Budget(most_tries=3),
    )
    monitor._newest.take([run])
    monkeypatch.setattr("slipway.steps.monitor.try_again", try_again)
    monkeypatch.setattr(Monitor, "_connected", lambda _: nullcontext((None, None)))
    failed = [
        replace(AGAIN, watched=Watched(label="", number=number, tries=(("run0", number),)))
        for number in range(3)
    ]
    assert monitor.act(look(*failed, *[GOING] * alive)) == []
    assert tasks == list(range(submitted))
