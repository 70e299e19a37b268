"""Files that are there as a whole or as they were before."""

import errno
import os
import stat
from pathlib import Path

import pytest

from slipway.errors import HostError
from slipway.job.store import RunStore
from slipway.sweep.record import SweepStore
from slipway.whole_file import write_whole
from tests.unit.test_run import make_run
from tests.unit.test_sweep import make_sweep


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What was synced, in order: ``file`` or ``folder``, or ``named`` where a file got its name."""
    seen: list[str] = []
    sync, replace = os.fsync, Path.replace

    def note(descriptor: int) -> None:
        seen.append("folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        sync(descriptor)

    def named(self: Path, target: Path) -> Path:
        seen.append("named")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", note)
    monkeypatch.setattr(Path, "replace", named)
    return seen


def test_what_is_written_is_there_as_a_whole(tmp_path: Path, synced: list[str]) -> None:
    write_whole(tmp_path / "new" / "file.json", "é\n")
    assert (tmp_path / "new" / "file.json").read_bytes() == "é\n".encode()
    # No power cut leaves an empty file under this name.
    assert synced == ["file", "named"]
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["file.json"]


def test_a_record_is_on_the_disk_before_its_job_is_submitted(tmp_path: Path, synced: list[str]) -> None:
    store = RunStore(tmp_path / "runs")
    with store.submitting(make_run("k3f9")):
        assert synced == ["file", "named", "folder"]
    synced.clear()
    # How it stands is asked for again, so that the record from before would do, but never an empty one.
    store.save(make_run("k3f9"))
    assert synced == ["file", "named"]


def test_a_sweep_is_on_the_disk_before_its_jobs_are_submitted(tmp_path: Path, synced: list[str]) -> None:
    SweepStore(tmp_path / "sweeps").save(make_sweep())
    assert synced == ["file", "named", "folder"]


def test_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "file.json"
    write_whole(file, "old")

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(HostError, match=r"file\.json cannot be written: No space left on device"):
        write_whole(file, "new", synced=True)
    assert [path.name for path in tmp_path.iterdir()] == ["file.json"]
    assert file.read_text() == "old"
