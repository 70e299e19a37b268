from dataclasses import replace
from pathlib import Path, PurePosixPath

import pytest

from slipway.errors import ConnectionLostError
from slipway.job import tail as tail_module
from slipway.job.tail import EndTail, FileTail, LogPart, LogTail, begin_of_last
from tests.unit.test_run import make_run


class TaskRunner:
    """Stands in for a connection: a folder of this machine, and it can be cut before any of its answers."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answers_left = 1000
        self.read_bytes = 0

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

    def read(self, path: PurePosixPath, offset: int = 0, most_bytes: int | None = None) -> bytes | None:
        file = self._answer(path)
        if not file.exists():
            return None
        self.read_bytes += len(content := file.read_bytes()[offset:][:most_bytes])
        return content


def attempt(folder: Path, number: int, log: bytes) -> None:
    (folder / f"attempt-{number}").mkdir(exist_ok=True)
    (folder / f"attempt-{number}" / "log").write_bytes(log)


def make_tail(part: LogPart | None = None) -> tuple[LogTail, list[str]]:
    pieces: list[str] = []
    return LogTail(make_run("k3f9"), pieces.append, part), pieces


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


def test_a_task_of_a_sweep_is_told_with_its_values(tmp_path: Path) -> None:
    elements = {1: {"word": "it's", "seed": "0"}, 2: {"word": "a\nb", "seed": "1"}}
    run = replace(make_run("k3f9"), task_indices=(1, 2), elements=elements)
    pieces = list[str]()
    for task in elements:
        (tmp_path / f"task-{task}").mkdir()
        attempt(tmp_path / f"task-{task}", 1, b"x\n")
        (tmp_path / f"task-{task}" / "attempt-1" / "result.json").write_text("{}")
    LogTail(run, pieces.append).finish(TaskRunner(tmp_path))  # type: ignore[arg-type]
    assert "".join(pieces) == (
        """--- task 1, word='it'"'"'s' seed=0 ---\nx\n--- task 2, word='a b' seed=1 ---\nx\n"""
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


@pytest.mark.parametrize(
    ("content", "lines", "end"),
    [
        (b"one\ntwo\nthree\n", 1, b"three\n"),
        (b"one\ntwo\nthree", 2, b"two\nthree"),
        (b"one\ntwo\n", 7, b"one\ntwo\n"),
        (b"one\ntwo\n", 0, b""),
        (b"", 3, b""),
        # A progress bar is as many lines as it has shown.
        (b"begin\n 10%\r 20%\r 30%\r", 2, b" 20%\r 30%\r"),
        (b"one\r\ntwo\r\nthree\r\n", 2, b"two\r\nthree\r\n"),
        (b"\n\n\n", 2, b"\n\n"),
    ],
)
@pytest.mark.parametrize("block_bytes", [1, 2, 3, 1 << 16])
def test_the_last_lines_are_found_from_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, lines: int, end: bytes, block_bytes: int
) -> None:
    monkeypatch.setattr(tail_module, "_BLOCK_BYTES", block_bytes)
    (tmp_path / "log").write_bytes(content)
    begin = begin_of_last(TaskRunner(tmp_path), PurePosixPath("/s/runs/k3f9/log"), lines)  # type: ignore[arg-type]
    assert content[begin:] == end


def test_the_end_of_a_large_log_costs_no_more_than_that(tmp_path: Path) -> None:
    attempt(tmp_path, 1, b"old\n")
    attempt(tmp_path, 3, b"x" * 30 + b"\n" + b"a line of a log\n" * 1_000_000)
    tail, pieces = make_tail(LogPart(last_lines=2))
    line = TaskRunner(tmp_path)
    assert tail.finish(line) is True  # type: ignore[arg-type]
    assert "".join(pieces) == "--- attempt 3 ---\na line of a log\na line of a log\n"
    assert line.read_bytes < 100_000


def test_a_large_log_comes_in_pieces(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tail_module, "PIECE_BYTES", 4)
    attempt(tmp_path, 1, "aé12345".encode())
    attempt(tmp_path, 2, b"two\n")
    (tmp_path / "attempt-2" / "result.json").write_text("{}")
    tail, pieces = make_tail()
    line = TaskRunner(tmp_path)
    reads = 0
    while not tail.read(line):  # type: ignore[arg-type]
        assert tail.is_behind
        reads += 1
    assert (reads, tail.is_behind) == (3, False)
    assert "".join(pieces) == "aé12345\n--- attempt 2 ---\ntwo\n"
    again, pieces = make_tail()
    assert [again.finish(line) for _ in range(4)] == [False, False, False, True]  # type: ignore[arg-type]
    assert "".join(pieces) == "aé12345\n--- attempt 2 ---\ntwo\n"
    pieces = []
    file = FileTail(PurePosixPath("/s/runs/k3f9/attempt-1/log"), pieces.append)
    while file.read(line):  # type: ignore[arg-type]
        pass
    assert "".join(pieces) == "aé12345"


@pytest.mark.parametrize(
    ("part", "shown"),
    [
        (LogPart(attempt=1), "one\n"),
        (LogPart(attempt=2), "--- attempt 2 ---\ntwo\n2\n"),
        (LogPart(attempt="last"), "--- attempt 3 ---\nthree\n3\n"),
        (LogPart(last_lines=1), "--- attempt 3 ---\n3\n"),
        (LogPart(attempt=2, last_lines=1), "--- attempt 2 ---\n2\n"),
        (LogPart(attempt=4), ""),
    ],
)
def test_one_attempt_is_wanted(tmp_path: Path, part: LogPart, shown: str) -> None:
    for number, log in ((1, b"one\n"), (2, b"two\n2\n"), (3, b"three\n3\n")):
        attempt(tmp_path, number, log)
    tail, pieces = make_tail(part)
    assert tail.finish(TaskRunner(tmp_path)) is True  # type: ignore[arg-type]
    assert "".join(pieces) == shown


def test_an_end_that_is_followed_goes_on(tmp_path: Path) -> None:
    attempt(tmp_path, 1, b"one\ntwo\n")
    tail, pieces = make_tail(LogPart(last_lines=1))
    line = TaskRunner(tmp_path)
    assert tail.read(line) is False  # type: ignore[arg-type]
    attempt(tmp_path, 1, b"one\ntwo\nthree\n")
    attempt(tmp_path, 2, b"again\n")
    assert tail.read(line) is False  # type: ignore[arg-type]
    assert "".join(pieces) == "two\nthree\n--- attempt 2 ---\nagain\n"


def test_some_tasks_are_wanted(tmp_path: Path) -> None:
    pieces: list[str] = []
    run = replace(make_run("k3f9"), task_indices=(1, 5, 7))
    for task in (1, 5, 7):
        (tmp_path / f"task-{task}").mkdir()
        attempt(tmp_path / f"task-{task}", 1, b"%d\n" % task)
    tail = LogTail(run, pieces.append, LogPart(tasks=frozenset({5, 7})))
    assert tail.finish(TaskRunner(tmp_path)) is True  # type: ignore[arg-type]
    assert "".join(pieces) == "--- task 5 ---\n5\n--- task 7 ---\n7\n"
