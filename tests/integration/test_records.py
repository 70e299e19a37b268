"""Damaged files of runs, here and on the cluster: only their own run suffers, and records come back."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath

import pytest

from slipway.errors import UsageError
from slipway.host.scratch import open_scratch
from slipway.job.request import Request
from slipway.job.run import Run, RunPaths, Status
from slipway.job.selection import Selection
from slipway.job.submit import submit
from slipway.progress import NullProgress
from slipway.resources import Resources
from slipway.scheduler.base import State
from slipway.steps.cancel import cancel
from slipway.steps.find import find_run
from slipway.steps.session import Session
from slipway.steps.status import list_runs
from tests.integration.small_image import SmallImageBox
from tests.waiting import wait_until


@dataclass(frozen=True)
class Notes(NullProgress):
    """Keeps what it is told."""

    notes: list[str] = field(default_factory=list)

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def notes() -> Notes:
    return Notes()


@pytest.fixture
def session(small: SmallImageBox, notes: Notes) -> Session:
    return replace(small.session, progress=notes)


@pytest.fixture
def alive(small: SmallImageBox, session: Session) -> Iterator[Run]:
    """A run that goes on, so that `status` logs in."""
    with small.connect() as host:
        run = small.submit(host, "sleep", "600")
    yield run
    cancel(session, run.run_id)


def damage(session: Session, run: Run, content: bytes) -> None:
    (session.store.folder / f"{run.run_id}.json").write_bytes(content)


@pytest.mark.fault("corruption", "a run's record here")
def test_a_cut_record_comes_back_when_its_run_is_named(session: Session, notes: Notes, alive: Run) -> None:
    record = session.store.folder / f"{alive.run_id}.json"
    damage(session, alive, record.read_bytes()[:200])
    found, site = find_run(session, alive.run_id[:6])
    assert (found.run_id, found.args, found.job_id) == (alive.run_id, alive.args, alive.job_id)
    assert site.name == "box"
    assert session.store.find(alive.run_id) == found
    (kept,) = session.store.folder.glob(f"{alive.run_id}.*.unreadable")
    assert kept.stat().st_size == 200
    assert "it was brought again from box" in notes.notes[-1]


def test_status_brings_records_along_where_it_logs_in(
    small: SmallImageBox, session: Session, notes: Notes, alive: Run
) -> None:
    with small.connect() as host:
        over = small.submit(host, "true")
    # Not even its site can be read, and another one was never on the cluster.
    damage(session, over, b"\0" * 4096)
    lost = session.store.folder / "zzzz-lost.json"
    lost.write_text("{")
    listed, error = list_runs(session, Selection(), 20)
    assert error is None
    assert {over.run_id, alive.run_id} <= {run.run_id for run in listed}
    assert "zzzz-lost.json: it is not JSON, or cut" in notes.notes[-1]
    assert "brings it again" in notes.notes[-1]
    with pytest.raises(UsageError, match=r"zzzz-lost.json cannot be read: .*box has none"):
        find_run(session, "zzzz")
    assert lost.read_text() == "{"
    lost.unlink()


def test_a_broken_result_is_its_own_runs_trouble_alone(
    small: SmallImageBox, session: Session, alive: Run
) -> None:
    with small.connect() as host:
        runs = [small.submit(host, "true") for _ in range(3)]
        names = " ".join(run.run_id for run in runs)
        small.on_box(
            f"cd $SCRATCH/slipway/runs; for run in {names}; do "
            "until [ -e $run/attempt-1/result.json ]; do sleep 0.2; done; done; "
            f"head -c 100000 /dev/zero >{runs[0].run_id}/attempt-1/result.json; "
            f"yes 9 | head -c 5000 | tr -d '\\n' >{runs[1].run_id}/attempt-1/result.json"
        )
    stands: dict[str, Status] = {}

    def is_over() -> bool:
        listed, error = list_runs(session, Selection(), 20)
        assert error is None
        stands.update((run.run_id, run.status) for run in listed)
        return all(stands[run.run_id].state.is_over for run in runs)

    # For SLURM a job goes on for a moment after its script's last act.
    wait_until(is_over, lambda: "\n".join(map(small.situation, runs)))
    assert stands[alive.run_id].state in (State.RUNNING, State.PENDING)
    for run in runs[:2]:
        assert "which the job script did not write" in str(stands[run.run_id].note)
    assert (stands[runs[2].run_id].reason, stands[runs[2].run_id].note) == ("ok", None)


def test_a_broken_answer_is_its_own_runs_trouble_alone(
    small: SmallImageBox, session: Session, alive: Run
) -> None:
    with small.connect() as host:
        run = small.submit(host, "true")
        lost = replace(run, run_id="zzzz-never", run_dir=f"{PurePosixPath(run.run_dir).parent}/zzzz-never")
        host.check(["cp", "-a", run.run_dir, lost.run_dir])
        host.write(RunPaths(PurePosixPath(lost.run_dir)).answer, b"\0" * 100)
    session.store.save(replace(lost, job_id=None))
    try:
        listed, error = list_runs(session, Selection(), 20)
    finally:
        session.store.forget(lost)
    assert error is None
    stands = {one.run_id: one.status for one in listed}
    assert stands[alive.run_id].state in (State.RUNNING, State.PENDING)
    assert stands["zzzz-never"].state is State.UNKNOWN
    assert "`answer` holds" in str(stands["zzzz-never"].note)


def test_no_secret_is_in_a_record(small: SmallImageBox, session: Session) -> None:
    profile = small.choice.profile.model_copy(
        update={"program": ("sh",), "environment": {"DB_PWD": "s3cret", "MODE": "s3cret"}}
    )
    site = small.choice.site.model_copy(update={"before": "export HF=s3cret"})
    args = ("-c", 'echo "$DB_PWD $0"', "https://me:s3cret@h/x")
    request = Request(
        profile=profile, site=site, args=args, resources=Resources(cpus=1, mem="200M", time="10")
    )
    with small.connect() as host:
        runs = [
            submit(session.project, request, host, open_scratch(host, site), NullProgress()) for _ in range(2)
        ]
        records = [host.read(RunPaths(PurePosixPath(run.run_dir)).record) for run in runs]
        mode = host.check(["stat", "-c", "%a", runs[0].run_dir]).stdout.strip()
        # The program gets all of it.
        log = RunPaths(PurePosixPath(runs[0].run_dir)).log(1)
        small.on_box(f"until grep -q . {log}; do sleep 0.2; done")
        assert host.read(log) == b"s3cret https://me:s3cret@h/x\n"
    assert mode == "700"
    local = [(session.store.folder / f"{run.run_id}.json").read_bytes() for run in runs]
    assert all(record and b"s3cret" not in record for record in (*records, *local))
    hashes = [session.store.find(run.run_id).profile_values["environment"] for run in runs]
    assert hashes[0] == hashes[1]
    assert sorted(hashes[0]) == ["DB_PWD", "MODE"]
    assert hashes[0]["DB_PWD"] != hashes[0]["MODE"]
