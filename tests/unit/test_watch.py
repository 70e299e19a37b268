from dataclasses import replace
from pathlib import Path

import pytest

from slipway.errors import RemoteError
from slipway.job import watch
from slipway.job.run import Run, Status
from slipway.scheduler.base import State
from tests.unit.test_run import make_run
from tests.unit.test_tail import TaskRunner, attempt


@pytest.fixture(autouse=True)
def in_a_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LOOK_S", "ASK_S"):
        monkeypatch.setattr(watch, name, 0.0)
    monkeypatch.setattr(watch, "EQUAL_FAILURES", 3)


def follow(folder: Path, *statuses: Status) -> tuple[Run, int]:
    """Follow a run that stands so and so, and how often that was asked."""
    host, left = TaskRunner(folder), list(statuses)
    host.target = "h"  # type: ignore[attr-defined]
    host.is_open = True  # type: ignore[attr-defined]

    def look(_: object, run: Run) -> Run:
        return replace(run, status=left.pop(0))

    run = watch.follow(host, make_run("k3f9"), lambda _: None, lambda _: None, look=look)  # type: ignore[arg-type]
    return run, len(statuses) - len(left)


def unknown(note: str, native: str | None = None) -> Status:
    return Status(state=State.UNKNOWN, note=note, native_state=native)


OVER = Status(state=State.COMPLETED, reason="ok")


def test_the_same_failure_again_and_again_is_the_end(tmp_path: Path) -> None:
    with pytest.raises(RemoteError, match=r"3 times in a row: squeue printed 'x'\. The job may"):
        follow(tmp_path, *[unknown("squeue printed 'x'")] * 9)


def test_failures_that_pass_are_no_end(tmp_path: Path) -> None:
    some = [unknown("down"), unknown("down"), Status(state=State.RUNNING)]
    assert follow(tmp_path, *some, *some, unknown("a"), unknown("b"), unknown("a"), OVER)[1] == 10


def test_a_state_that_has_no_name_here_is_no_failure(tmp_path: Path) -> None:
    assert follow(tmp_path, *[unknown("a new word", "UNKNOWN")] * 9, OVER)[0].status == OVER


def test_a_state_is_said_before_the_output_that_it_allowed(tmp_path: Path) -> None:
    host, said = TaskRunner(tmp_path), list[str]()
    states = [State.PENDING, State.PENDING, State.RUNNING, State.COMPLETED]

    def look(_: object, run: Run) -> Run:
        state = states.pop(0)
        if state is State.RUNNING or len(states) == 2:
            attempt(tmp_path, 1, b"first\n")
        if state is State.COMPLETED:
            attempt(tmp_path, 1, b"first\nlast")
        return replace(run, status=Status(state=state))

    run = replace(make_run("k3f9"), status=Status(state=State.PENDING))
    watch.follow(host, run, said.append, lambda run: said.append(run.status.state.value), look=look)  # type: ignore[arg-type]
    assert said == ["RUNNING", "first\n", "last", "COMPLETED"]


def test_the_first_output_hurries_the_question(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # The next question is due in an hour.
    monkeypatch.setattr(watch, "LOOK_S", 3600.0)
    monkeypatch.setattr(watch.time, "sleep", lambda _: attempt(tmp_path, 1, b"first\n"))
    host, said = TaskRunner(tmp_path), list[str]()
    states = [State.PENDING, State.RUNNING]

    def look(_: object, run: Run) -> Run:
        if not states:
            raise RemoteError("asked once more")
        return replace(run, status=Status(state=states.pop(0)))

    run = replace(make_run("k3f9"), status=Status(state=State.PENDING))

    def on_text(text: str) -> None:
        said.append(text)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        watch.follow(host, run, on_text, lambda run: said.append(run.status.state.value), look=look)  # type: ignore[arg-type]
    assert said == ["RUNNING", "first\n"]


def test_nobody_reads(tmp_path: Path) -> None:
    attempt(tmp_path, 1, b"said")
    said = list[str]()

    def look(_: object, run: Run) -> Run:
        return replace(run, status=OVER)

    run = replace(make_run("k3f9"), status=Status(state=State.RUNNING))
    following = watch.Following(
        run=run, on_text=None, on_change=lambda run: said.append(run.status.state.value), look=look
    )
    assert following.step(TaskRunner(tmp_path)) is True  # type: ignore[arg-type]
    assert (following.run.status, said) == (OVER, ["COMPLETED"])


def test_a_job_that_waits_to_begin_again_is_not_asked_for_in_a_hurry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    attempt(tmp_path, 1, b"said")
    (tmp_path / "attempt-1" / "result.json").touch()
    monkeypatch.setattr(watch, "ASK_S", 3600.0)
    asked = list[Status]()

    def look(_: object, run: Run) -> Run:
        asked.append(run.status)
        return replace(run, status=Status(state=State.PENDING))

    run = replace(make_run("k3f9"), status=Status(state=State.RUNNING))
    for on_text in (None, lambda _: None):
        asked.clear()
        following = watch.Following(run=run, on_text=on_text, on_change=lambda _: None, look=look)
        # What it has waited for so far between two questions.
        following._patience = 3600.0
        for _ in range(5):
            assert following.step(TaskRunner(tmp_path)) is False  # type: ignore[arg-type]
        assert len(asked) == 1
