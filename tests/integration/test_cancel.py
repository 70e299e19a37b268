"""Jobs cancelled: several at once, those that wait, and one that SLURM does not let go of."""

import os
from collections.abc import Iterator
from dataclasses import replace

import pytest

from slipway.job.run import Run, Status
from slipway.job.selection import Selection
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.cancel import Cancelling
from slipway.steps.status import list_runs
from tests.integration.small_image import SmallImageBox, fakes
from tests.integration.task_runner import TaskRunner
from tests.integration.test_follow import on_terminal, read_until
from tests.waiting import PATIENCE_S

HELD = SlurmResources(sbatch=("--hold",))


@pytest.fixture
def waiting(small: SmallImageBox) -> Iterator[list[Run]]:
    """Two jobs that wait until somebody lets them go."""
    with small.connect() as host:
        runs = [small.submit(host, "sleep", "60", wanted=HELD) for _ in range(2)]
    yield runs
    small.on_box(f"scancel {' '.join(str(run.job_id) for run in runs)}")


@pytest.fixture
def runner(small: SmallImageBox) -> TaskRunner:
    return TaskRunner(state=small.session.project.state, results=small.session.project.results)


def state(small: SmallImageBox, run: Run) -> State:
    return list_runs(small.session, Selection(prefixes=(run.run_id,)), 1)[0][0].state


@pytest.mark.long
def test_those_that_wait(small: SmallImageBox, waiting: list[Run], runner: TaskRunner) -> None:
    with small.connect() as host:
        running = small.submit(host, "sleep", "600")
    small.wait_for(running, State.RUNNING)
    # Nobody is there to say yes.
    done = runner.invoke("cancel", "--state", "pending", code=64)
    assert "nothing was cancelled: that needs a yes" in done.stderr
    assert all(run.run_id in done.stdout for run in waiting)
    assert running.run_id not in done.stdout
    assert state(small, waiting[0]) is State.PENDING
    done = runner.invoke("cancel", "--state", "PENDING", "--yes")
    assert sorted(done.stdout.splitlines()) == sorted(f"{run.run_id} is CANCELLED" for run in waiting)
    assert state(small, running) is State.RUNNING
    done = runner.invoke("cancel", "--state", "PENDING", "--yes")
    assert done.stdout == "No run is like that and not over; nothing was cancelled.\n"
    # One that is named and over already is no trouble, and the other is cancelled.
    done = runner.invoke("cancel", waiting[0].run_id, running.run_id, "--yes")
    assert f"{waiting[0].run_id} is CANCELLED (it was over already)\n" in done.stdout
    assert running.run_id in done.stdout
    done = runner.invoke("cancel", "--all", waiting[0].run_id, code=64)
    assert "--all is every run that waits or runs" in done.stderr


def test_one_that_cannot_be_cancelled_stops_no_other(
    small: SmallImageBox, waiting: list[Run], runner: TaskRunner
) -> None:
    other = small.as_root("sbatch", "--parsable", "--hold", "--output=/dev/null", "--wrap", "sleep 1").strip()
    try:
        run_id = f"z{os.urandom(3).hex()}-cpu-20260131-142530"
        alien = replace(waiting[0], run_id=run_id, run_dir=f"{waiting[0].run_dir}/{run_id}", job_id=other)
        small.session.store.save(replace(alien, status=Status(state=State.PENDING)))
        lost = replace(waiting[0], run_id=f"{run_id}-lost", run_dir=f"/s/{run_id}-lost", site="gone")
        small.session.store.save(replace(lost, status=Status(state=State.PENDING)))
        done = runner.invoke("cancel", "--all", "--yes", code=70)
        assert sorted(done.stdout.splitlines()) == sorted(f"{run.run_id} is CANCELLED" for run in waiting)
        assert "error: 2 of 4 runs were not cancelled:" in done.stderr
        assert f"{run_id}: " in done.stderr
        assert f"job {other} was not cancelled: " in done.stderr
        assert f"{run_id}-lost: there is no site 'gone'" in done.stderr
    finally:
        small.as_root("scancel", other)
        for run in (alien, lost):
            small.session.store.forget(run)


def test_many_are_cancelled_by_one_command(small: SmallImageBox, waiting: list[Run]) -> None:
    """The program is the real one; the file in its place only writes down how it was called."""
    asked: list[int] = []

    def confirm(runs: object) -> bool:
        asked.append(len(runs))  # type: ignore[arg-type]
        return True

    with fakes(small) as fake:
        fake("scancel", 'echo "$*" >>~/fake/calls; exec /usr/bin/scancel "$@"')
        told: list[str] = []
        cancelling = Cancelling(
            session=small.session, confirm=confirm, on_cancelled=lambda run, _: told.append(run.run_id)
        )
        assert cancelling.cancel(waiting, tell_over=True) is None
        calls = small.on_box("cat ~/fake/calls").splitlines()
    assert calls == [f"--verbose {waiting[0].job_id} {waiting[1].job_id}"]
    assert (asked, sorted(told)) == ([2], sorted(run.run_id for run in waiting))


def test_the_question(small: SmallImageBox, waiting: list[Run]) -> None:
    process, ours = on_terminal(small, "cancel", *(run.run_id for run in waiting))
    try:
        shown = read_until(ours, b"Type yes to cancel: ")
        assert all(run.run_id[:4] in shown for run in waiting)
        assert "Cancel these 2 runs?" in shown
        os.write(ours, b"no\n")
        shown = read_until(ours, None)
        assert process.wait(timeout=PATIENCE_S) == 64, shown
    finally:
        process.kill()
        os.close(ours)
    assert state(small, waiting[0]) is State.PENDING
