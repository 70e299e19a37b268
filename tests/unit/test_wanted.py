"""Which files of a run are wanted."""

from dataclasses import replace

import pytest

from slipway.errors import UsageError
from slipway.job.wanted import (
    LAST,
    Wanted,
    check_tasks,
    newest_attempts,
    parse_attempt,
    parse_only,
    parse_tasks,
)
from tests.unit.test_run import make_run

PLAIN = [
    "job.sh",
    "slurm.log",
    "attempt-1",
    "attempt-1/log",
    "attempt-1/out",
    "attempt-1/out/a.json",
    "attempt-3",
    "attempt-3/log",
    "attempt-3/out",
    "attempt-3/out/a.json",
    "attempt-3/out/maps/b.json",
    "attempt-3/out/maps/c.ply",
    "attempt-3/out/new\nline.txt",
]
ARRAY = ["job.sh", "task-2", "task-2/attempt-1/out/a", "task-2/attempt-2/out/a", "task-10/attempt-1/out/a"]


def only(*patterns: str, attempt: int | str | None = None) -> list[str]:
    return Wanted(only=patterns, attempt=attempt).choose(PLAIN)


def test_nothing_said_is_everything() -> None:
    assert Wanted().is_all
    assert Wanted().choose(PLAIN) == PLAIN


def test_a_name_is_looked_for_in_every_folder() -> None:
    assert only("*.json", attempt=LAST) == ["attempt-3/out/a.json", "attempt-3/out/maps/b.json"]
    assert only("a.json") == ["attempt-1/out/a.json", "attempt-3/out/a.json"]
    assert only("*.txt") == ["attempt-3/out/new\nline.txt"]


def test_a_pattern_with_a_slash_is_one_of_the_whole_path() -> None:
    assert only("maps/*.json") == ["attempt-3/out/maps/b.json"]
    assert only("./*/c.ply", "/a.json", attempt=3) == ["attempt-3/out/a.json", "attempt-3/out/maps/c.ply"]
    assert only("out/a.json") == []


def test_a_folder_is_all_that_is_in_it() -> None:
    assert only("maps/") == ["attempt-3/out/maps/b.json", "attempt-3/out/maps/c.ply"]


def test_an_attempt_comes_with_the_runs_own_files() -> None:
    found = Wanted(attempt=1).choose(PLAIN)
    assert found == [
        "job.sh",
        "slurm.log",
        "attempt-1",
        "attempt-1/log",
        "attempt-1/out",
        "attempt-1/out/a.json",
    ]


def test_tasks_have_attempts_of_their_own() -> None:
    assert newest_attempts(ARRAY) == {2: 2, 10: 1}
    assert Wanted(tasks=frozenset({2})).choose(ARRAY) == ["job.sh", *ARRAY[2:4]]
    assert Wanted(attempt=LAST).choose(ARRAY) == ["job.sh", *ARRAY[3:]]


@pytest.mark.parametrize("text", ["0", "two", "-1", "1.5", ""])
def test_an_attempt_is_a_number(text: str) -> None:
    with pytest.raises(UsageError, match="write a number from 1 on, last, or all"):
        parse_attempt(text)
    assert [parse_attempt(one) for one in (None, "all", "last", "2")] == [None, None, LAST, 2]


def test_tasks_are_written_as_for_an_array() -> None:
    assert parse_tasks("0-2,7") == {0, 1, 2, 7}
    with pytest.raises(UsageError, match="--task x: write it as numbers and ranges"):
        parse_tasks("x")


@pytest.mark.parametrize("pattern", ["", "/", "a[", "b\\"])
def test_what_is_no_pattern_is_refused(pattern: str) -> None:
    with pytest.raises(UsageError, match="--only"):
        parse_only([pattern])


def test_tasks_that_a_run_does_not_have_are_refused() -> None:
    run = make_run("k3f9")
    with pytest.raises(UsageError, match="is no array"):
        check_tasks(run, {1})
    array = replace(run, task_indices=(0, 1), resources={"array": "0-1"})
    check_tasks(array, {1})
    with pytest.raises(UsageError, match="has no task 2; its tasks are 0-1"):
        check_tasks(array, {1, 2})
