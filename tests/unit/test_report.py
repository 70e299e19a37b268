"""What is told of runs and of their results, and what gives way where a terminal is narrow."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timezone

import pytest

from slipway.job.run import Run, Status
from slipway.report.arguments import tell_apart
from slipway.report.array_bar import array_parts
from slipway.report.run_table import GAP, Columns, run_table, widest
from slipway.report.values import figure_words, run_values
from slipway.scheduler.base import State
from slipway.text.wording import moment
from tests.unit.test_run import make_run


def test_the_list_has_the_documented_keys() -> None:
    status = Status(
        state=State.FAILED,
        reason="program-error",
        exit_code=3,
        elapsed_s=5,
        native_state="FAILED",
        script_reason="program-error",
        started_s=1795961581,
        ended_s=1795961586,
        node="node1",
        limit_s=600,
    )
    run = replace(make_run("k3f9"), job_id="7", status=status)
    assert run_values(run) == {
        "run_id": "k3f9",
        "name": None,
        "job_id": "7",
        "site": "box",
        "profile": "cpu",
        "state": "FAILED",
        "reason": "program-error",
        "exit_code": 3,
        "signal": None,
        "native_state": "FAILED",
        "slurm_state": "FAILED",
        "script_reason": "program-error",
        "note": None,
        "link": None,
        "links": None,
        "submitted": "2026-01-31T14:25:30+00:00",
        "elapsed_s": 5,
        "limit_s": 600,
        "started_s": 1795961581,
        "ended_s": 1795961586,
        "expected_s": None,
        "node": "node1",
        "args": ["--task", "a b", "", "\ud800"],
        "parent": None,
        "usage": None,
        "home": None,
        "kept": None,
        "removed_s": None,
        "tasks": [],
    }


def test_each_task_of_an_array_is_told() -> None:
    tasks = {
        0: Status(state=State.FAILED, reason="program-error", exit_code=3, elapsed_s=5, node="node1"),
        7: Status(state=State.PENDING, pending_reason="JobArrayTaskLimit", expected_s=1795962360),
    }
    run = replace(make_run("k3f9"), task_statuses=tasks, parent="b7c4")
    values = run_values(run)
    assert values["parent"] == "b7c4"
    told = [{key: value for key, value in task.items() if value is not None} for task in values["tasks"]]
    assert told == [
        {
            "index": 0,
            "state": "FAILED",
            "reason": "program-error",
            "exit_code": 3,
            "elapsed_s": 5,
            "node": "node1",
        },
        {"index": 7, "state": "PENDING", "reason": "JobArrayTaskLimit", "expected_s": 1795962360},
    ]


def test_figures_are_numbers_and_short_words() -> None:
    content = {
        "rmse": 0.000562345678,
        "frames": 40,
        "whole": True,
        "k\x1b]0;X\x07": "word",
        "long": "x" * 100,
        "list": [1],
        "none": None,
        "huge": 10**5000,
        "odd": float("nan"),
    }
    assert figure_words(content) == [
        ("rmse", "0.000562346"),
        ("frames", "40"),
        ("whole", "True"),
        ("k\x1b]0;X\x07", "word"),
        ("odd", "nan"),
    ]


def table(runs: Sequence[Run], width: int | None) -> Columns:
    columns = run_table([run_values(run) for run in runs], width)
    used = sum(widest(columns, title) + GAP for title in columns) - GAP
    assert width is None or used <= width
    return columns


def some_runs() -> list[Run]:
    runs = []
    for number, state in enumerate((State.COMPLETED, State.FAILED, State.PENDING)):
        over = state is not State.PENDING
        status = Status(
            state=state,
            reason="program-error" if over else "ReqNodeNotAvail,_UnavailableNodes:node[1-20]",
            exit_code=number if over else None,
            elapsed_s=4000 if over else None,
        )
        args = ("--task", "train", "--dataset", "tum/rgbd_dataset_freiburg1_desk", "--seed", str(10 + number))
        run = make_run(f"k{number}f9-droid-slam-20260131-142530")
        runs.append(replace(run, site="hpc-gpu", job_id=f"1234567{number}", args=args, status=status))
    return runs


def test_a_pipe_gets_all_of_it() -> None:
    columns = table(some_runs(), None)
    assert columns["ARGUMENTS"][2] == "--task train --dataset tum/rgbd_dataset_freiburg1_desk --seed 12"
    assert columns["REASON"][2] == "ReqNodeNotAvail,_UnavailableNodes:node[1-20]"


@pytest.mark.parametrize("width", [200, 120, 100, 90, 80, 70, 60, 50, 45])
def test_job_site_and_exit_are_whole_at_every_width(width: int) -> None:
    columns = table(some_runs(), width)
    assert columns["JOB"] == ["12345670", "12345671", "12345672"]
    assert columns["SITE"] == ["hpc-gpu"] * 3
    assert columns["EXIT"] == ["0", "1", ""]
    assert len(set(columns["RUN"])) == 3
    assert all(run.run_id.startswith(cell) for run, cell in zip(some_runs(), columns["RUN"], strict=True))


def test_arguments_give_way_first() -> None:
    whole = table(some_runs(), 400)
    assert whole == table(some_runs(), None)
    for width in range(60, 260):
        columns = table(some_runs(), width)
        given_way = [title for title in whole if columns.get(title) != whole[title]]
        assert not given_way or "ARGUMENTS" in given_way


def test_eighty_columns_tell_runs_apart() -> None:
    columns = table(some_runs(), 80)
    assert columns["ARGUMENTS"] == ["… --seed 10", "… --seed 11", "… --seed 12"]
    assert columns["RUN"] == ["k0f9", "k1f9", "k2f9"]
    assert columns["STATE"] == ["COMPLETED", "FAILED", "PENDING"]


def test_a_running_run_has_its_limit_and_node_and_a_waiting_one_its_start() -> None:
    runs = some_runs()
    runs[0] = replace(
        runs[0],
        name="rpy-long",
        status=Status(state=State.RUNNING, elapsed_s=723, limit_s=3600, started_s=5, node="node[1-2]"),
    )
    starts_s = int(datetime.now(timezone.utc).timestamp()) + 3 * 86400
    runs[2] = replace(runs[2], status=replace(runs[2].status, expected_s=starts_s, elapsed_s=0))
    then = datetime.fromtimestamp(starts_s, timezone.utc).astimezone()
    columns = table(runs, None)
    assert columns["ELAPSED"] == ["0:12:03/1:00:00", "1:06:40", f"from {then:%b} {then.day} {then:%H:%M}"]
    assert columns["NODE"] == ["node[1-2]", "", ""]
    assert columns["NAME"] == ["rpy-long", "", ""]
    narrow = table(runs, 80)
    assert narrow["ELAPSED"][0] == "0:12:03"
    assert narrow["NAME"][0] == "rpy-long"
    for width in range(45, 200):
        table(runs, width)
    # Where no run has one, there is no column for it.
    assert not {"NAME", "NODE"} & set(table(some_runs(), None))


def test_a_start_today_is_a_time_of_day() -> None:
    now = datetime(2026, 11, 29, 14, 0, tzinfo=timezone.utc)
    assert moment(int(now.timestamp()) + 3600, now) == "15:00"
    assert moment(int(now.timestamp()) + 12 * 3600, now) == "Nov 30 02:00"


@pytest.mark.parametrize(
    ("counts", "shown"),
    [
        ({"done": 3, "failed": 1, "running": 2, "waiting": 4}, "███x▒▒····"),
        # However few there are of some, each has its mark.
        ({"done": 997, "failed": 1, "cancelled": 1, "running": 1}, "███████████████████████████x-▒"),
        ({"waiting": 1000}, "·" * 30),
        ({"unknown": 2}, "??"),
        ({}, ""),
    ],
)
def test_the_bar_of_an_array_says_how_its_tasks_stand_without_colour(
    counts: dict[str, int], shown: str
) -> None:
    stands = {
        "done": ("COMPLETED", "ok"),
        "failed": ("TIMEOUT", "time-limit"),
        "cancelled": ("CANCELLED", "cancelled"),
        "running": ("RUNNING", None),
        "waiting": ("PENDING", "JobArrayTaskLimit"),
        "unknown": ("UNKNOWN", None),
    }
    tasks = [
        dict(zip(("state", "reason"), stands[word], strict=True))
        for word, count in counts.items()
        for _ in range(count)
    ]
    parts = array_parts(tasks)
    assert "".join(part.mark * part.length for part in parts) == shown
    assert {part.word: part.count for part in parts} == counts


def test_ids_that_begin_alike_stay_longer() -> None:
    runs = [replace(some_runs()[0], run_id=f"k3f9-{name}-20260131-142530") for name in ("cpu", "droid")]
    assert table(runs, 80)["RUN"] == ["k3f9-cpu", "k3f9-droid"]


@pytest.mark.parametrize(
    ("arguments", "width", "shown"),
    [
        ([("--a", "1"), ("--a", "2")], 20, ["--a 1", "--a 2"]),
        ([("--lr", "-1", "-v", "x y")] * 2, 14, ["--lr -1 -v 'x…"] * 2),
        (
            [("--dataset", f"tum/rgbd_freiburg1_{name}", "--task", "infer") for name in ("desk", "desk2")],
            16,
            ["--dataset …desk", "--dataset …desk2"],
        ),
        (
            [("--rendering-checkpoint-interval", n, "--all-that-is-the-same") for n in ("5", "10")],
            16,
            ["--rendering-c… 5", "--rendering-… 10"],
        ),
        ([("--same", "--epochs=10"), ("--same", "--epochs=12")], 14, ["… --epochs=10", "… --epochs=12"]),
        (
            [("train.py", "--seed", "1"), ("infer.py",), ("--x", "", "")],
            9,
            ["train.py", "infer.py", "--x '' ''"],
        ),
        ([("--name", "日本語日本語"), ("--name", "日本語日本")], 12, ["--n… '日本…", "--n… '日本…"]),
        ([(), ("--a",)], 4, ["", "--a"]),
        # The words of a command stay in their order.
        (
            [("python3", "train.py", "--lr", lr, "--epochs", "100") for lr in ("0.1", "0.01")],
            16,
            ["… --lr 0.1 …", "… --lr 0.01 …"],
        ),
        (
            [("python3", name, "--a", "b" * 20) for name in ("train.py", "infer.py")],
            24,
            ["python3 train.py …", "python3 infer.py …"],
        ),
    ],
)
def test_what_differs_stays_in_place(arguments: list[tuple[str, ...]], width: int, shown: list[str]) -> None:
    assert tell_apart(arguments, width) == shown


def test_where_results_are_is_said_where_there_is_something_to_say() -> None:
    runs = [replace(make_run(run_id), args=()) for run_id in ("a", "b", "c")]
    assert "RESULTS" not in run_table([run_values(run, home=False) for run in runs])
    runs[1] = replace(runs[1], kept="/home/me/slipway-kept/runs/b", removed_s=1)
    columns = run_table([run_values(run, home=run.run_id == "a") for run in runs])
    assert columns["RESULTS"] == ["home", "kept, removed", ""]
