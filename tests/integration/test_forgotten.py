"""What a cluster has forgotten: a run that ended stays as it ended; of others is told what is known."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import timedelta

import pytest

from slipway.job.run import Run
from slipway.job.selection import Selection
from slipway.scheduler.base import State
from slipway.steps.session import Session
from slipway.steps.status import list_runs
from tests.integration import daemon
from tests.integration.small_image import SmallImageBox
from tests.waiting import PATIENCE_S, wait_until

YEAR = timedelta(days=365)


def submit(small: SmallImageBox, script: str) -> Run:
    with small.connect() as host:
        return small.submit(host, "sh", "-c", script)


def wait_for(small: SmallImageBox, command: str) -> None:
    wait_until(lambda: small.is_so(command), command)


@contextmanager
def without_memory(small: SmallImageBox) -> Iterator[None]:
    """slurmctld begins with no jobs, and slurmdbd is down; then it is up, and its records are purged."""
    wait_for(small, '[ -z "$(squeue -h)" ]')
    daemon.end(small, "slurmctld")
    daemon.end(small, "slurmdbd")
    small.as_root("sh", "-c", "rm /var/lib/slurm/slurmctld/job_state*")
    try:
        daemon.begin(small, "slurmctld")
        yield
    finally:
        daemon.begin(small, "slurmdbd")


def purge(small: SmallImageBox, *runs: Run) -> None:
    names = ",".join(f"'{run.run_id}'" for run in runs)
    purged = f"delete from box_job_table where job_name in ({names})"  # noqa: S608 - ids of our own
    small.as_root("mariadb", "slurm_acct_db", "-e", purged)


def age(small: SmallImageBox, run: Run) -> Run:
    """The same run, submitted a year ago by its record."""
    old = replace(run, submitted=run.submitted - YEAR)
    small.session.store.save(old)
    return old


def test_what_is_said_of_runs_that_slurm_has_forgotten(
    small: SmallImageBox, monkeypatch: pytest.MonkeyPatch
) -> None:
    session, store = small.session, small.session.store
    over = submit(small, "echo kept >/out/file; exit 4")
    told = submit(small, "exit 3")
    killed = submit(small, "echo running; exec sleep 300")
    purged = submit(small, "true")
    wait_for(small, f"grep -q running {killed.run_dir}/attempt-1/log")
    # Not even its script is left to say how it ended.
    small.as_root("pkill", "-KILL", "-f", f"job0*{killed.job_id}/slurm_script")
    wait_until(lambda: small.look(over.run_id).status.state.is_over, over.run_id)
    over, told, killed, purged = (age(small, run) for run in (store.find(over.run_id), told, killed, purged))
    asked = Selection(prefixes=tuple(run.run_id for run in (over, told, killed, purged)))
    with without_memory(small):
        small.on_box(f"rm -r {purged.run_dir}")
        listed, error = list_runs(session, asked, 20)
        now = {run.run_id: run.status for run in listed}
        assert error is None
        assert now[over.run_id] == over.status
        assert (now[told.run_id].state, now[told.run_id].exit_code) == (State.FAILED, 3)
        assert "sacct could not be asked: " in str(now[told.run_id].note)
        assert [now[run.run_id].state for run in (killed, purged)] == [State.UNKNOWN, State.UNKNOWN]
    purge(small, over, told, killed, purged)
    assert small.as_root("sacct", "-n", "-X", "-S", "2020-01-01", f"--name={over.run_id}").strip() == ""
    monkeypatch.setattr("slipway.job.poll.GONE_S", -1)
    listed, _ = list_runs(session, asked, 20)
    now = {run.run_id: run.status for run in listed}
    assert now[over.run_id] == over.status
    assert (now[killed.run_id].state, now[killed.run_id].reason) == (State.FAILED, "node-failure")
    assert (now[purged.run_id].state, now[purged.run_id].reason) == (State.FAILED, "unknown")
    assert f"{purged.run_dir} is gone; so nobody knows how it ended" in str(now[purged.run_id].note)
    # It is brought home all the same, and stays what it was.
    own = {"SLIPWAY_STATE": str(session.project.state), "SLIPWAY_RESULTS": str(session.project.results)}
    done = subprocess.run(
        [sys.executable, "-m", "invoke", "pull", over.run_id],
        cwd=session.project.root,
        env={**os.environ, **own},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert (session.project.results / over.run_id / "out" / "file").read_text() == "kept\n", done.stderr
    assert store.find(over.run_id).status == over.status

    def refuse(*_: object) -> None:
        raise AssertionError("somebody was asked about a run that is over")

    monkeypatch.setattr(Session, "connect", refuse)
    listed, error = list_runs(session, asked, 20)
    assert (len(listed), error) == (4, None)
