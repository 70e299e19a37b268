"""Damaged files of runs, here and on the cluster: only their own run suffers, and records come back."""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import pytest

from slipway.errors import UsageError
from slipway.job.run import Run
from slipway.progress import NullProgress
from slipway.steps.runs import cancel, find_run, list_runs
from slipway.steps.session import Session
from tests.integration.small_image import SmallImageBox


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
        run = small.submit(host, "sleep", "300")
    yield run
    cancel(session, run.run_id)


def damage(session: Session, run: Run, content: bytes) -> None:
    (session.store.folder / f"{run.run_id}.json").write_bytes(content)


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
    listed, error = list_runs(session, None, 20)
    assert error is None
    assert {over.run_id, alive.run_id} <= {run.run_id for run in listed}
    assert "zzzz-lost.json: it is not JSON, or cut" in notes.notes[-1]
    assert "brings it again" in notes.notes[-1]
    with pytest.raises(UsageError, match=r"zzzz-lost.json cannot be read: .*box has none"):
        find_run(session, "zzzz")
    assert lost.read_text() == "{"
    lost.unlink()
