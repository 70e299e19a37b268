"""`invoke retry` on the box with a real SLURM: sweeps and runs, what is left alone, and beside a monitor."""

import pytest

from slipway.host.scratch import open_scratch
from slipway.job.run import Run
from slipway.monitor.claim import make_claims
from slipway.notify.pending import PendingStore
from slipway.notify.target import parse_targets
from slipway.steps.find import find_sweep
from slipway.steps.submit import keep_notify
from slipway.sweep.record import Place, Sweep
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import TaskRunner
from tests.integration.test_bundles import submit as share
from tests.integration.test_monitor import PROGRAM, Sweeps, open_site, runs
from tests.unit.test_notify import Webhook


@pytest.fixture(scope="module")
def sweeps(small: SmallImageBox) -> Sweeps:
    return Sweeps(small)


@pytest.fixture(scope="module")
def runner(small: SmallImageBox) -> TaskRunner:
    project = small.session.project
    return TaskRunner(state=project.state, results=project.results)


def wait_for_all(sweeps: Sweeps, sweep: Sweep) -> None:
    for run in runs(sweeps, sweep).values():
        sweeps.small.wait_for(run)


def new_runs(stdout: str) -> list[str]:
    """The ids of runs that were submitted."""
    return [line.split()[1] for line in stdout.splitlines() if line.startswith("run ") and "  job " in line]


def test_what_has_not_ended_well_of_a_sweep_and_nothing_else(sweeps: Sweeps, runner: TaskRunner) -> None:
    small = sweeps.small
    sweep = sweeps.submit("ok", "files", "program")
    wait_for_all(sweeps, sweep)
    words = ("retry", "--sweep", sweep.sweep_id)
    [first] = sweep.run_ids
    tried = [
        f"element kind=files n=1 ({first} task 1): FAILED program-error, exit code 1 → again with time 5",
        f"element kind=program n=2 ({first} task 2): FAILED program-error, exit code 3 → again with time 5",
    ]
    assert runner.invoke(*words, "--time", "5", "--dry-run").stdout.splitlines() == tried
    assert sweeps.starts(sweep) == {"0": 1, "1": 1, "2": 1}
    done = runner.invoke(*words, "--time", "5", "--failed", "--wait", code=3)
    assert done.stdout.splitlines()[:2] == tried
    [second] = new_runs(done.stdout)
    assert sweeps.starts(sweep) == {"0": 1, "1": 2, "2": 2}
    run = small.look(second)
    assert (run.resources["time"], run.resources["mem"], run.task_indices) == ("5", "100M", (1, 2))
    now = find_sweep(small.session, sweep.sweep_id)
    assert [one.place for one in now.elements] == [
        Place(run_id=first, task=0),
        Place(run_id=second, task=1),
        Place(run_id=second, task=2),
    ]
    # What a monitor is submitting is left to it.
    with small.connect() as host:
        scratch = open_scratch(host, small.choice.site)
        assert make_claims(host, scratch, second, {2: 1}, "m000-cpu-20260131-142530") == [2]
    said = runner.invoke(*words).stdout
    assert said == "Nothing is to be submitted again: 2 ok, 1 on its way\n"
    assert sweeps.starts(sweep) == {"0": 1, "1": 2, "2": 2}


@pytest.mark.long
def test_logs_and_results_of_what_failed(sweeps: Sweeps, runner: TaskRunner) -> None:
    sweep = sweeps.submit("ok", "program", "files")
    wait_for_all(sweeps, sweep)
    [run_id] = sweep.run_ids
    shown = runner.invoke("logs", "--sweep", sweep.sweep_id, "--failed", "--tail", "1").stdout
    assert shown.splitlines() == [
        "--- task 1, kind=program n=1 ---",
        "ValueError: it is wrong",
        "--- task 2, kind=files n=2 ---",
        "cat: /data/x: Stale file handle",
    ]
    runner.invoke("pull", "--sweep", sweep.sweep_id, "--failed")
    home = runner.results / run_id
    assert sorted(path.name for path in home.glob("task-*")) == ["task-1", "task-2"]


@pytest.mark.long
def test_elements_that_shared_a_job(sweeps: Sweeps, runner: TaskRunner) -> None:
    program = 'cp /previous/n /out/n 2>/dev/null || { echo $1 >/out/n; [ "$1" = 0 ]; }'
    sweep, run = share(sweeps.small, program, 4, pack_minutes=30, per_node=2)
    assert [len(lanes) for lanes in run.bundles.values()] == [2]
    sweeps.small.wait_for(run)
    done = runner.invoke("retry", "--sweep", sweep.sweep_id, "--failed")
    [new_id] = new_runs(done.stdout)
    new = sweeps.small.wait_for(sweeps.small.look(new_id))
    assert (new.task_indices, new.status.reason, dict(new.bundles)) == ((1, 2, 3), "ok", {})
    assert sweeps.small.on_box(f"cat {new.run_dir}/task-*/attempt-1/out/n") == "1\n2\n3\n"


def submit(sweeps: Sweeps, kind: str) -> Run:
    small = sweeps.small
    with small.connect() as host:
        return small.submit(host, "sh", "-c", PROGRAM, "sh", kind, site=open_site(small))


@pytest.mark.long
def test_a_run_alone_and_what_was_cancelled(sweeps: Sweeps, runner: TaskRunner) -> None:
    failed, waits = submit(sweeps, "files"), submit(sweeps, "waits")
    sweeps.small.wait_for(failed)
    words = ("retry", failed.run_id, waits.run_id)
    webhook = Webhook()
    targets = parse_targets([webhook.url])
    keep_notify(sweeps.small.session, failed, targets)
    runner.invoke("cancel", waits.run_id)
    sweeps.small.wait_for(waits)
    said = runner.invoke(*words, "--failed", "--dry-run").stdout
    assert said == f"run {failed.run_id}: FAILED program-error, exit code 1 → again\n"
    done = runner.invoke(*words)
    new = {
        sweeps.small.wait_for(sweeps.small.look(run_id)).parent: run_id for run_id in new_runs(done.stdout)
    }
    assert set(new) == {failed.run_id, waits.run_id}
    assert sweeps.small.look(new[failed.run_id]).status.reason == "ok"
    # Whom the first was to tell, the next is to tell.
    pending = PendingStore(sweeps.small.session.project.state)
    assert pending.targets(new[failed.run_id]) == targets
    for run_id in pending.run_ids():
        pending.forget(run_id)
    webhook.close()
    # By the name of the first it is the newest that counts.
    again = runner.invoke("retry", failed.run_id, code=0)
    assert again.stdout == "Nothing is to be submitted again: 1 ok\n"
