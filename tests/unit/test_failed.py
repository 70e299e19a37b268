"""`--failed`: what failed of runs and sweeps, and what `logs`, `pull` and `show` make of that."""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import UsageError
from slipway.job.run import Run, Status
from slipway.job.tail import LogPart
from slipway.job.wanted import Wanted
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.steps.failed import Failed, find_failed
from slipway.steps.logs import LogQuery
from slipway.steps.pull import Order
from slipway.steps.session import Session
from slipway.sweep.record import Place, Sweep, SweepElement, SweepStore
from tests.unit.test_run import make_run
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
FIRST, SECOND = "k3f9-cpu-20260131-142530", "b4d2-cpu-20260131-152530"
OK = Status(state=State.COMPLETED, reason="ok")
FAILED = Status(state=State.FAILED, reason="program-error", exit_code=3)
CANCELLED = Status(state=State.CANCELLED, reason="cancelled")
GONE = Status(state=State.FAILED, reason="unknown")


@pytest.fixture
def session(tmp_path: Path) -> Session:
    """A project whose runs are all over, so that nobody is asked."""
    (tmp_path / "env").mkdir()
    (tmp_path / "cluster").mkdir()
    (tmp_path / "env" / ".env.base").touch()
    (tmp_path / "cluster" / "box.yaml").write_text("login: {host: hpc.invalid}\npaths: {scratch: /s}\n")
    shutil.copy(ROOT / "tasks.py", tmp_path)
    return Session(project=Project(root=tmp_path, state=tmp_path / ".slipway", results=tmp_path / "results"))


def keep(session: Session, run_id: str, *statuses: Status, status: Status = FAILED) -> Run:
    tasks = tuple(range(len(statuses)))
    run = replace(make_run(run_id), job_id="7", status=status, task_indices=tasks, usage_tries=99)
    run = replace(run, task_statuses=dict(zip(tasks, statuses, strict=True)))
    session.store.save(run)
    return run


def keep_sweep(session: Session, *places: Place | None) -> None:
    SweepStore(session.project.state / "sweeps").save(
        Sweep(
            sweep_id="zzzz-sweep-20260131-142530",
            name="rates",
            profile="cpu",
            site="box",
            submitted="2026-01-31T14:25:30+00:00",
            args=(),
            elements=tuple(
                SweepElement(values={"n": str(number)}, identity=str(number), place=place)
                for number, place in enumerate(places)
            ),
        )
    )


def invoke(session: Session, *words: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "SLIPWAY_STATE", "SLIPWAY_RESULTS")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(
        [sys.executable, "-m", "invoke", *words],
        cwd=session.project.root,
        env={**environment, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def test_elements_of_a_sweep_where_they_are_now(session: Session) -> None:
    first = keep(session, FIRST, OK, FAILED, CANCELLED, FAILED, GONE)
    second = keep(session, SECOND, FAILED, FAILED)
    # The last but one of the first was tried again, and what is in the second beside it is of another sweep.
    keep_sweep(
        session,
        *(Place(run_id=FIRST, task=task) for task in (0, 1, 2)),
        Place(run_id=SECOND, task=1),
        Place(run_id=FIRST, task=4),
        None,
    )
    assert find_failed(session, (), "rates") == [
        Failed(run=first, tasks=frozenset({1})),
        Failed(run=second, tasks=frozenset({1})),
    ]


def test_runs_and_their_tasks(session: Session) -> None:
    array = keep(session, FIRST, OK, FAILED)
    whole = keep(session, SECOND, FAILED, FAILED)
    assert find_failed(session, [FIRST, SECOND], None) == [
        Failed(run=array, tasks=frozenset({1})),
        Failed(run=whole),
    ]
    alone = keep(session, "c5h3-cpu-20260131-162530")
    assert find_failed(session, [alone.run_id], None) == [Failed(run=alone)]
    for status in (OK, CANCELLED, GONE):
        keep(session, "c5h3-cpu-20260131-162530", status=status)
        assert find_failed(session, ["c5h3"], None) == []


def test_a_sweep_of_which_nothing_was_submitted(session: Session) -> None:
    keep_sweep(session, None)
    with pytest.raises(UsageError, match=r"no element of the sweep zzzz-.* \(rates\) was submitted"):
        find_failed(session, (), "rates")


def test_each_run_has_its_own_tasks() -> None:
    run, other = make_run(FIRST), make_run(SECOND)
    query = LogQuery(part=LogPart(last_lines=5))
    assert query.of_tasks(frozenset({1})).part == LogPart(last_lines=5, tasks=frozenset({1}))
    assert query.of_tasks(None) == query.of_tasks(frozenset()) == query
    order = Order(wanted=Wanted(only=("*.json",)), tasks={FIRST: frozenset({1}), SECOND: frozenset()})
    assert order.wanted_of(run) == Wanted(only=("*.json",), tasks=frozenset({1}))
    assert order.wanted_of(other) == Wanted(only=("*.json",))


@pytest.mark.parametrize("task", ["logs", "pull", "show", "extract"])
def test_where_nothing_failed_it_says_so(session: Session, task: str) -> None:
    keep(session, FIRST, status=OK)
    assert invoke(session, task, FIRST, "--failed").stdout == "Nothing has failed there.\n"


def test_a_page_of_those_that_failed(session: Session) -> None:
    keep(session, FIRST, OK, FAILED)
    keep(session, SECOND, OK, status=OK)
    keep_sweep(session, *(Place(run_id=run_id, task=0) for run_id in (FIRST, SECOND)))
    assert invoke(session, "show", "--sweep", "rates", "--failed").stdout == "Nothing has failed there.\n"
    keep_sweep(session, *(Place(run_id=run_id, task=0) for run_id in (SECOND,)), Place(run_id=FIRST, task=1))
    done = invoke(session, "show", "--sweep", "rates", "--failed", "--no-open")
    assert done.stdout == f"results/{FIRST}/index.html\n"
    listed = json.loads(invoke(session, "status", "--sweep", "rates", "--json").stdout)
    assert listed["counts"] == {"COMPLETED ok": 1, "FAILED program-error": 1}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("logs", "--task", "3"), "--failed says which tasks, and so does --task"),
        (("pull", "--task", "3"), "--failed says which tasks, and so does --task"),
        (("logs", "--follow"), "--failed is of what is over, and --follow waits"),
        (("pull", "--all"), "--all is every run that is over and not home"),
    ],
)
def test_what_does_not_go_together(session: Session, words: tuple[str, ...], said: str) -> None:
    keep(session, FIRST, OK, FAILED)
    assert said in invoke(session, *words, "--failed", code=64).stderr
