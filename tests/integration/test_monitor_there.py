"""The monitor on the box's login node and as a job of its own: nobody here is needed, nothing is doubled."""

import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from slipway.monitor.spending import Budget
from slipway.monitor.there_host import There
from slipway.scheduler.base import JobQuery
from slipway.scheduler.find import find_scheduler
from slipway.steps.box import box_up
from slipway.steps.find import find_sweep
from slipway.steps.monitored import find_targets
from slipway.steps.remote_monitor import RemoteMonitor, RemoteRequest, monitor_job
from slipway.sweep.record import Sweep
from tests.campaign import rounds
from tests.faults import Made
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import INVOKE, ROOT, TaskRunner
from tests.integration.test_monitor import Sweeps, start
from tests.waiting import PATIENCE_S, wait_until

KILLS = rounds(20, 2)


@pytest.fixture(scope="module")
def sweeps(small: SmallImageBox) -> Sweeps:
    return Sweeps(small)


@contextmanager
def monitor_there(sweeps: Sweeps, sweep: Sweep, job_time: str | None = None) -> Iterator[RemoteMonitor]:
    """The monitor of a sweep on the box, from here."""
    session = sweeps.session()
    [target] = find_targets(session, sweep.sweep_id, ())
    job = monitor_job(job_time, None, None) if job_time else None
    request = RemoteRequest(budget=Budget(most_tries=3), interval_s=1, job=job)
    try:
        yield RemoteMonitor(session=session, target=target, request=request)
    finally:
        session.hosts.close()


def begin(sweeps: Sweeps, sweep: Sweep, job_time: str | None = None) -> There:
    """Start one, and be gone."""
    with monitor_there(sweeps, sweep, job_time) as one:
        one.look()
        return one.start()


def folder(sweep: Sweep) -> str:
    return f"$SCRATCH/slipway/monitors/{sweep.sweep_id}"


def log(sweeps: Sweeps, sweep: Sweep) -> list[str]:
    return sweeps.small.on_box(f"cat {folder(sweep)}/log").splitlines()


def runner(sweeps: Sweeps) -> TaskRunner:
    project = sweeps.small.session.project
    return TaskRunner(state=project.state, results=project.results)


def wait_for_its_end(sweeps: Sweeps, sweep: Sweep) -> None:
    """Wait by nothing but the files there."""
    ended = f"cat {folder(sweep)}/ended.json 2>/dev/null || true"
    situation = f"cat {folder(sweep)}/*log; ls -la {folder(sweep)}; squeue"
    wait_until(lambda: '"over"' in sweeps.small.on_box(ended), lambda: sweeps.small.on_box(situation))


def test_it_goes_on_while_nobody_is_here(sweeps: Sweeps) -> None:
    if box_up(sweeps.small.session).memory_limits is None:
        pytest.skip("SLURM does not enforce memory limits in this box")
    sweep = sweeps.submit("memory", "ok", "program")
    there = begin(sweeps, sweep)
    assert (there.state, there.began) == ("runs", True)
    wait_for_its_end(sweeps, sweep)
    assert "element kind=memory n=0: out of memory with 100M → with 200M of memory, try 2 of 3" in log(
        sweeps, sweep
    )
    # This machine comes back, and knows what was done.
    runner(sweeps).invoke("status", "--sweep", sweep.sweep_id)
    assert len(find_sweep(sweeps.small.session, sweep.sweep_id).elements[0].tries) == 1
    done = runner(sweeps).invoke("monitor", "--remote", "--sweep", sweep.sweep_id, code=92)
    assert done.stdout.splitlines()[0] == "3 elements: 2 ok, 1 stopped"
    assert "1 element has not ended well" in done.stderr
    assert sweeps.starts(sweep) == {"0": 2, "1": 1, "2": 1}
    now = find_sweep(sweeps.small.session, sweep.sweep_id)
    place = now.elements[0].place
    assert place is not None
    run = sweeps.small.look(place.run_id)
    assert (run.resources["mem"], run.tries, run.status.reason) == ("200M", (sweep.run_ids[0],), "ok")
    assert run.sweep == sweep.sweep_id


@pytest.mark.long
@pytest.mark.fault("kills", "monitor on the cluster")
def test_killed_and_beside_a_monitor_here(sweeps: Sweeps, made: Made) -> None:
    sweep = sweeps.submit(*["twice"] * 4, "waits")
    rng = random.Random()  # noqa: S311
    for _ in range(KILLS):
        assert begin(sweeps, sweep).began is True
        # Another one finds it, and adds none.
        assert begin(sweeps, sweep).began is False
        time.sleep(rng.uniform(0, 4))
        sweeps.small.as_root("pkill", "-KILL", "-f", f"slipway_monitor .*{sweep.sweep_id}")
        made("SIGKILL")
        with monitor_there(sweeps, sweep) as one:
            assert one.find().state == "dead"
    with start(sweeps, sweep) as here:
        begin(sweeps, sweep)
        let_go(sweeps, sweep, 4)
        done = runner(sweeps).invoke("monitor", "--remote", "--sweep", sweep.sweep_id)
        assert "5 elements: 5 ok" in done.stdout.splitlines()
        assert '"counts": {"ok": 5}' in here.communicate(timeout=600)[0]
    assert sweeps.starts(sweep) == {"0": 3, "1": 3, "2": 3, "3": 3, "4": 1}


def let_go(sweeps: Sweeps, sweep: Sweep, task: int) -> None:
    """Let an element of the kind `waits` end, once it runs."""
    out = f"{sweeps.small.look(sweep.run_ids[0]).run_dir}/task-{task}/attempt-1/out"
    wait_until(lambda: sweeps.small.is_so(f"touch {out}/go"), f"the beginning of task {task}")


@pytest.mark.long
def test_it_is_followed_and_stopped(sweeps: Sweeps) -> None:
    sweep = sweeps.submit("waits")
    begin(sweeps, sweep)
    lines: list[str] = []
    with monitor_there(sweeps, sweep) as one:
        said = interrupted(sweeps, "monitor", "--remote", "--sweep", sweep.sweep_id)
        assert "A monitor of it is at work at box already (login, process " in said
        assert (
            f"The monitor goes on at box. `invoke monitor --remote --sweep {sweep.sweep_id}` follows" in said
        )
        assert one.find().state == "runs"
        stopped = runner(sweeps).invoke("monitor", "--remote", "--stop", "--sweep", sweep.sweep_id)
        assert stopped.stdout == "no monitor of it is at work at box; what is on the way goes on\n"
        ended = one.follow(lines.append, lines.append)
    assert (ended.state, ended.why) == ("ended", "stopped")
    assert lines[0].partition("  ")[2].startswith("monitor on ")
    assert lines[-1] == "it was stopped; what is on the way goes on"
    # A job is stopped by scancel, too.
    job = begin(sweeps, sweep, "10").job

    def begun() -> bool:
        return any("  monitor on job " in line for line in log(sweeps, sweep))

    wait_until(begun, lambda: sweeps.small.on_box(f"squeue; cat {folder(sweep)}/*log"))
    sweeps.small.on_box(f"scancel {job}")
    with monitor_there(sweeps, sweep, "10") as one:
        gone = wait_until(lambda: there if not (there := one.find()).is_alive else None, "the job's end")
    assert (gone.state, gone.why) == ("ended", "stopped")
    assert sweeps.starts(sweep).total() <= 1
    runner(sweeps).invoke("cancel", "--sweep", sweep.sweep_id, "--yes")


def interrupted(sweeps: Sweeps, *words: str) -> str:
    """What a command has said that was ended by Ctrl-C, once it has shown the beginning of a log."""
    project = sweeps.small.session.project
    folders = {"SLIPWAY_STATE": str(project.state), "SLIPWAY_RESULTS": str(project.results)}
    with subprocess.Popen(
        [*INVOKE, *words],
        cwd=ROOT,
        env={**os.environ, **folders},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert "  monitor on login, process " in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        said: str = process.communicate(timeout=PATIENCE_S)[1]
    assert process.returncode == 130
    return " ".join(said.split())


@pytest.mark.long
def test_a_job_that_begins_again_by_itself(sweeps: Sweeps) -> None:
    small = sweeps.small
    sweep = sweeps.submit("waits", "files")
    # It works for half of its 20 s.
    there = begin(sweeps, sweep, "0:20")
    first = small.on_box(f"cat {folder(sweep)}/job").strip()
    assert (there.is_alive, there.job, there.began) == (True, first, True)
    assert begin(sweeps, sweep, "0:20").began is False

    def goes_on() -> bool:
        return any(line.startswith("this job's time is up; job ") for line in log(sweeps, sweep))

    wait_until(goes_on, lambda: small.on_box(f"cat {folder(sweep)}/*log; squeue"))
    run = small.look(sweep.run_ids[0])
    with small.connect() as host:
        query = JobQuery(name=run.run_id, submitted=run.submitted, job_id=run.job_id, tasks=run.tasks)
        assert find_scheduler("slurm").given_memory(host, [query]) == {run.run_id: 100 << 20}
    let_go(sweeps, sweep, 0)
    wait_for_its_end(sweeps, sweep)
    assert small.on_box(f"cat {folder(sweep)}/job").strip() != first
    with monitor_there(sweeps, sweep) as one:
        assert one.find().why == "over"
        assert one.look().counts == {"ok": 2}
    assert sweeps.starts(sweep) == {"0": 1, "1": 2}
