from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import ConnectionLostError
from slipway.job.tail import EndTail, LogTail
from tests.unit.test_run import make_run


class TaskRunner:
    """Stands in for a connection: a folder of this machine, and it can be cut before any of its answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers_left = 1000

    def _answer(self, path: PurePosixPath) -> Path:
        if not self.answers_left:
            raise ConnectionLostError("lost")
        self.answers_left -= 1
        return self.folder / path.relative_to("/s/runs/k3f9")

    def list(self, folder: PurePosixPath) -> list[str]:
        return [file.name for file in self._answer(folder).iterdir()]

    def size(self, path: PurePosixPath) -> int | None:
        file = self._answer(path)
        return file.stat().st_size if file.exists() else None

    def read(self, path: PurePosixPath, offset: int = 0) -> bytes | None:
        file = self._answer(path)
        return file.read_bytes()[offset:] if file.exists() else None


def attempt(folder: Path, number: int, log: bytes) -> None:
    (folder / f"attempt-{number}").mkdir(exist_ok=True)
    (folder / f"attempt-{number}" / "log").write_bytes(log)


def make_tail() -> tuple[LogTail, list[str]]:
    pieces: list[str] = []
    return LogTail(make_run("k3f9"), pieces.append), pieces


def test_each_piece_comes_once(tmp_path: Path) -> None:
    tail, pieces = make_tail()
    line = TaskRunner(tmp_path)
    assert tail.read(line) is False  # type: ignore[arg-type]
    attempt(tmp_path, 1, "aé".encode()[:-1])
    tail.read(line)  # type: ignore[arg-type]
    attempt(tmp_path, 1, "aéb\n".encode())
    (tmp_path / "attempt-1" / "result.json").write_text("{}")
    assert tail.read(line) is True  # type: ignore[arg-type]
    tail.finish(line)  # type: ignore[arg-type]
    assert pieces == ["a", "éb\n"]


def test_a_new_attempt_is_said(tmp_path: Path) -> None:
    tail, pieces = make_tail()
    attempt(tmp_path, 1, b"one")
    tail.read(TaskRunner(tmp_path))  # type: ignore[arg-type]
    attempt(tmp_path, 1, b"one, to its end\xff")
    attempt(tmp_path, 2, b"two\n")
    (tmp_path / "attempt-old").mkdir()
    tail.read(TaskRunner(tmp_path))  # type: ignore[arg-type]
    assert "".join(pieces) == "one, to its end\udcff\n--- attempt 2 ---\ntwo\n"


@pytest.mark.parametrize("answers", range(1, 8))
def test_a_cut_loses_and_repeats_nothing(tmp_path: Path, answers: int) -> None:
    tail, pieces = make_tail()
    attempt(tmp_path, 1, b"one\n")
    attempt(tmp_path, 2, b"two\n")
    attempt(tmp_path, 3, b"three\n")
    line = TaskRunner(tmp_path)
    line.answers_left = answers
    try:
        tail.finish(line)  # type: ignore[arg-type]
    except ConnectionLostError:
        tail.finish(TaskRunner(tmp_path))  # type: ignore[arg-type]
    assert "".join(pieces) == "one\n--- attempt 2 ---\ntwo\n--- attempt 3 ---\nthree\n"


def test_slurms_words_are_shown_where_there_are_no_others(tmp_path: Path) -> None:
    (tmp_path / "slurm.log").write_text("slurmstepd: error: no such folder\n")
    tail, pieces = make_tail()
    tail.finish(TaskRunner(tmp_path))  # type: ignore[arg-type]
    assert pieces == ["slurmstepd: error: no such folder\n"]
    attempt(tmp_path, 1, b"words\n")
    tail, pieces = make_tail()
    tail.finish(TaskRunner(tmp_path))  # type: ignore[arg-type]
    assert pieces == ["words\n"]


def test_the_tasks_of_an_array_come_in_order(tmp_path: Path) -> None:
    pieces: list[str] = []
    run = replace(make_run("k3f9"), task_indices=(1, 5, 7))
    tail, line = LogTail(run, pieces.append), TaskRunner(tmp_path)
    for task in (1, 5, 7):
        (tmp_path / f"task-{task}").mkdir()
    attempt(tmp_path / "task-5", 1, b"five\n")
    assert tail.read(line) is False  # type: ignore[arg-type]
    assert pieces == []
    attempt(tmp_path / "task-1", 1, b"one")
    tail.read(line)  # type: ignore[arg-type]
    assert pieces == ["--- task 1 ---\none"]
    for task in (1, 5):
        (tmp_path / f"task-{task}" / "attempt-1" / "result.json").write_text("{}")
    assert tail.read(line) is False  # type: ignore[arg-type]
    # Its turn is over when it is tried again.
    attempt(tmp_path / "task-1", 2, b"one again\n")
    attempt(tmp_path / "task-7", 1, b"")
    (tmp_path / "task-7" / "attempt-1" / "result.json").write_text("{}")
    assert tail.read(line) is True  # type: ignore[arg-type]
    tail.finish(line)  # type: ignore[arg-type]
    assert "".join(pieces) == (
        "--- task 1 ---\none\n--- task 5 ---\nfive\n--- task 1, attempt 2 ---\none again\n"
    )


def test_the_end_is_seen_where_nobody_reads(tmp_path: Path) -> None:
    tail, line = EndTail(replace(make_run("k3f9"), task_indices=(1, 2))), TaskRunner(tmp_path)
    for task in (1, 2):
        (tmp_path / f"task-{task}").mkdir()
    for task in (2, 1):
        assert tail.read(line) is False  # type: ignore[arg-type]
        attempt(tmp_path / f"task-{task}", 1, b"said")
        attempt(tmp_path / f"task-{task}", 2, b"said")
        (tmp_path / f"task-{task}" / "attempt-2" / "result.json").write_text("{}")
    assert tail.read(line) is True  # type: ignore[arg-type]
