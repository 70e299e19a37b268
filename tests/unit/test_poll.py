"""Questions to a cluster and its answers. A stand-in answers for SLURM here; the real one is on the box."""

import json
import shlex
import subprocess
import time
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from slipway.host.command_line import command_line
from slipway.job import poll as polling
from slipway.job.poll import poll
from slipway.job.run import Run, Status
from slipway.scheduler.base import State
from slipway.shell import LocalShell, Result
from tests.unit.test_run import NOW, make_run

# What the kernel takes as one argument, which the whole command is to the shell that sshd starts.
ONE_ARGUMENT_BYTES = 128 * 1024
NO_ACCOUNTS = None


class Cluster:
    """Stands in for a connection: it prints what SLURM's programs are to say, and runs the rest here."""

    target = "h"

    def __init__(self, queue: str = "", accounting: str | None = "", shown: str = "") -> None:
        # Such as `squeue --format=slipway|…` prints them; a limit, times and nodes are added.
        lines = ["JOBID|NAME|STATE|TIME|REASON", *queue.splitlines()]
        split = (line.rsplit("|", 1) for line in lines)
        rows = "".join(f"slipway|{line}|10:00|N/A||{reason}\n" for line, reason in split)
        accounted = accounting and accounting.replace("\n", "|00:10:00|Unknown|Unknown|None assigned\n")
        self.says = {"squeue": rows, "sacct": accounted, "sh": shown}
        self.asked: list[str] = []

    def run_in_login_shell(
        self, argv: Sequence[str], *, stdin: Sequence[bytes] = (), stdin_bytes: int = 0
    ) -> Result:
        """Run the script here, with stand-ins for SLURM's programs in it."""
        if stdin:
            return LocalShell().run(argv, stdin=b"".join(stdin).decode())
        _, _, script = argv
        assert len(command_line(argv)) < ONE_ARGUMENT_BYTES
        fakes = ""
        for program, says in self.says.items():
            self.asked += [program] * script.count(f"{{ {program} ")
            said = (
                "echo accounting is disabled >&2; return 1"
                if says is None
                else f"printf %s {shlex.quote(says)}"
            )
            fakes += f"fake_{program}() {{ {said}; }}\n"
            script = script.replace(f"{{ {program} ", f"{{ fake_{program} ")
        return LocalShell().run(["sh"], stdin=fakes + script)


def ask(cluster: Cluster, *runs: Run) -> list[Run]:
    return poll(cluster, runs)  # type: ignore[arg-type]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    (tmp_path / "k3f9").mkdir()
    return replace(make_run("k3f9"), job_id="7", run_dir=str(tmp_path / "k3f9"))


@pytest.fixture
def array(run: Run) -> Run:
    return replace(run, resources={"array": "0-3%2"}, task_indices=(0, 1, 2, 3))


@pytest.fixture(autouse=True)
def no_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling, "LOOK_S", 0)


def write_result(run: Run, folder: str, code: int = 0, reason: str = "ok", **more: Any) -> None:
    path = Path(run.run_dir, folder)
    path.mkdir(parents=True)
    told = {"exit_code": code, "signal": None, "reason": reason, "start": 1, "end": 3, **more}
    (path / "result.json").write_text(json.dumps(told))


def test_the_last_attempts_result_counts(run: Run) -> None:
    write_result(run, "attempt-9", 143, "preempted")
    write_result(run, "attempt-10")
    (now,) = ask(Cluster(accounting="7|k3f9|COMPLETED|0:0|5\n"), run)
    assert (now.status.reason, now.status.exit_code, now.status.note) == ("ok", 0, None)


def test_a_run_that_was_over_before_anybody_knew_its_id(run: Run) -> None:
    write_result(run, "attempt-1", job_id="7")
    (now,) = ask(Cluster(), replace(run, job_id=None))
    assert (now.job_id, now.status.state) == ("7", State.COMPLETING)
    (now,) = ask(Cluster(), now)
    assert (now.status.state, now.status.reason) == (State.COMPLETED, "ok")


def test_an_array_goes_on_as_long_as_one_of_its_tasks(array: Run) -> None:
    cluster = Cluster(
        queue="7_1|k3f9|RUNNING|0:05|None\n7_3|k3f9|PENDING|0:00|JobArrayTaskLimit\n",
        # It is late: of task 2 it does not know yet that it has begun, and ended.
        accounting="7_0|k3f9|FAILED|3:0|5\n7_2|k3f9|COMPLETED|0:0|1\n7_[2-3%2]|k3f9|PENDING|0:0|0\n",
    )
    (now,) = ask(cluster, replace(array, job_id=None))
    assert (now.job_id, now.status.state) == ("7", State.RUNNING)
    states = [now.task_statuses[task].state.value for task in range(4)]
    assert states == ["FAILED", "RUNNING", "FAILED", "PENDING"]


def test_an_array_ends_as_its_worst_task(array: Run) -> None:
    write_result(array, "task-0/attempt-1", 3, "program-error")
    write_result(array, "task-1/attempt-1", 143, "preempted")
    write_result(array, "task-1/attempt-2")
    cluster = Cluster(
        accounting="7_0|k3f9|FAILED|3:0|5\n7_1|k3f9|COMPLETED|0:0|9\n7_[2-3%2]|k3f9|CANCELLED by 1|0:0|0\n"
    )
    (now,) = ask(cluster, array)
    assert (now.status.state, now.status.reason, now.status.exit_code) == (
        State.FAILED,
        "program-error",
        3,
    )
    assert now.status.note == "1 of 4 tasks ok; task 0: program-error 3; task 2: cancelled; task 3: cancelled"


def test_how_each_task_stands_is_kept(array: Run) -> None:
    write_result(array, "task-0/attempt-1", 3, "program-error")
    cluster = Cluster(
        queue="7_1|k3f9|RUNNING|0:05|None\n7_[2-3]|k3f9|PENDING|0:00|JobArrayTaskLimit\n",
        accounting="7_0|k3f9|FAILED|3:0|5\n",
    )
    (now,) = ask(cluster, array)
    tasks = now.task_statuses
    assert list(tasks) == [0, 1, 2, 3]
    assert (tasks[0].state, tasks[0].reason, tasks[0].exit_code) == (State.FAILED, "program-error", 3)
    assert (tasks[1].state, tasks[1].elapsed_s, tasks[1].native_state) == (State.RUNNING, 5, "RUNNING")
    assert (tasks[3].reason, tasks[3].pending_reason) == (None, "JobArrayTaskLimit")


def since_long_ago(run: Run, *missing: int) -> Run:
    """The same run, of which SLURM has not known these tasks for hours."""
    before = {task: replace(run.task_statuses[task], missing_since_s=1) for task in missing}
    return replace(run, task_statuses={**run.task_statuses, **before})


def test_each_task_is_missed_for_itself(array: Run) -> None:
    cluster = Cluster(queue="7_0|k3f9|RUNNING|0:05|None\n")
    (now,) = ask(cluster, array)
    first = now.task_statuses[1]
    assert (first.state, now.status.state) == (State.UNKNOWN, State.RUNNING)
    long_ago = {
        task: replace(status, missing_since_s=1) for task, status in now.task_statuses.items() if task > 1
    }
    (now,) = ask(cluster, replace(now, task_statuses={**now.task_statuses, **long_ago}))
    states = [now.task_statuses[task].state for task in (1, 2, 3)]
    assert states == [State.UNKNOWN, State.FAILED, State.FAILED]


def test_an_array_of_which_slurm_names_only_the_first(array: Run) -> None:
    write_result(array, "task-0/attempt-1")
    cluster = Cluster(accounting="7_0|k3f9|COMPLETED|0:0|5\n7_[1,...]|k3f9|CANCELLED by 1|0:0|0\n")
    (now,) = ask(cluster, array)
    assert now.status.state is State.CANCELLED
    assert str(now.status.note).startswith("1 of 4 tasks ok; task 1: cancelled; ")


def test_an_array_where_no_accounts_are_kept(array: Run) -> None:
    for task in (0, 1, 2):
        write_result(array, f"task-{task}/attempt-1")
    cluster = Cluster(queue="7_3|k3f9|RUNNING|0:05|None\n", accounting=NO_ACCOUNTS)
    assert ask(cluster, array)[0].status.state is State.RUNNING
    # Its last task is killed outright. The controller remembers that one for longest.
    shown = "JobId=7 ArrayJobId=7 ArrayTaskId=3 JobName=k3f9 JobState=FAILED ExitCode=0:9 RunTime=00:00:09\n"
    (now,) = ask(Cluster(accounting=NO_ACCOUNTS, shown=shown), array)
    assert (now.status.state, now.status.exit_code) == (State.FAILED, 137)
    (now,) = ask(Cluster(accounting=NO_ACCOUNTS), array)
    assert now.status.state is State.UNKNOWN
    assert now.status.missing_since_s is not None
    assert "accounting is disabled" in str(now.status.note)
    (now,) = ask(Cluster(accounting=NO_ACCOUNTS), since_long_ago(now, 3))
    assert (now.status.state, now.status.reason) == (State.FAILED, "node-failure")


def test_a_result_that_nobody_can_read_is_said(run: Run) -> None:
    Path(run.run_dir, "attempt-1").mkdir()
    Path(run.run_dir, "attempt-1", "result.json").write_text("{")
    (now,) = ask(Cluster(accounting="7|k3f9|COMPLETED|0:0|5\n"), run)
    assert (now.status.state, now.status.reason) == (State.COMPLETED, "ok")
    assert "result.json holds '{'" in str(now.status.note)
    assert "SLURM alone is believed" in str(now.status.note)


def unread(**says: str | None) -> Cluster:
    """A cluster whose squeue prints something else."""
    cluster = Cluster(**says)  # type: ignore[arg-type]
    cluster.says["squeue"] = "no such word\n"
    return cluster


def test_where_the_queue_cannot_be_read_others_are_asked(run: Run) -> None:
    (now,) = ask(unread(accounting="7|k3f9|RUNNING|0:0|5\n"), run)
    assert now.status.state is State.RUNNING
    assert str(now.status.note).startswith("squeue printed 'no such word'")
    # The controller is fresher than accounting.
    shown = "JobId=7 JobName=k3f9 JobState=RUNNING ExitCode=0:0 RunTime=00:00:09\n"
    (now,) = ask(unread(accounting="7|k3f9|PENDING|0:0|0\n", shown=shown), run)
    assert (now.status.state, now.status.elapsed_s) == (State.RUNNING, 9)
    (now,) = ask(unread(), run)
    assert (now.status.state, now.status.missing_since_s) == (State.UNKNOWN, None)
    # It is not taken for one that was never submitted.
    assert ask(unread(), replace(run, job_id=None))[0].status.state is State.UNKNOWN
    write_result(run, "attempt-1", 3, "program-error")
    (now,) = ask(unread(accounting=NO_ACCOUNTS), run)
    assert (now.status.state, now.status.exit_code) == (State.FAILED, 3)
    assert "the job script alone is believed" in str(now.status.note)


def test_what_accounting_has_not_heard_of_the_controller_knows(run: Run) -> None:
    # Seen with 24.11: a job that is cancelled as it is requeued stays so in accounting for two minutes.
    accounting = "7|k3f9|REQUEUED|0:0|0\n"
    shown = "JobId=7 JobName=k3f9 JobState=CANCELLED ExitCode=0:0 RunTime=00:00:00\n"
    assert ask(Cluster(accounting=accounting, shown=shown), run)[0].status.state is State.CANCELLED
    assert ask(Cluster(accounting=accounting), run)[0].status.state is State.PENDING
    assert ask(Cluster("7|k3f9|PENDING|0:00|None\n", accounting, shown), run)[0].status.state is State.PENDING


def test_where_nobody_can_be_asked_a_preempted_run_may_go_on(run: Run) -> None:
    write_result(run, "attempt-1", 143, "preempted")
    assert ask(unread(accounting=NO_ACCOUNTS), run)[0].status.state is State.UNKNOWN


def test_thousands_of_runs_are_asked_for_in_a_few_questions(run: Run) -> None:
    runs = [
        replace(run, run_id=f"{number:04}-profile-of-some-length-20260131-142530", job_id=str(number))
        for number in range(2500)
    ]
    cluster = Cluster(accounting="".join(f"{one.job_id}|{one.run_id}|CANCELLED by 1|0:0|0\n" for one in runs))
    asked = ask(cluster, *runs)
    assert {one.status for one in asked} == {
        Status(state=State.CANCELLED, reason="cancelled", elapsed_s=0, native_state="CANCELLED", limit_s=600)
    }
    assert cluster.asked == ["squeue", "sacct"] * 5


def test_a_year_later_the_script_still_tells(run: Run) -> None:
    """The record was written when the run began, and nobody has looked since."""
    run = replace(run, submitted=NOW - timedelta(days=365), status=Status(state=State.RUNNING))
    write_result(run, "attempt-1", 3, "program-error")
    for cluster in (Cluster(), Cluster(accounting=NO_ACCOUNTS)):
        (now,) = ask(cluster, run)
        assert (now.status.state, now.status.reason, now.status.exit_code) == (
            State.FAILED,
            "program-error",
            3,
        )


def test_where_nothing_is_left_nobody_knows(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    Path(run.run_dir).rmdir()
    (now,) = ask(Cluster(accounting=NO_ACCOUNTS), replace(run, status=Status(state=State.RUNNING)))
    assert now.status.state is State.UNKNOWN
    assert f"does not know job 7 any more, and {run.run_dir} is gone; sacct could" in str(now.status.note)
    # The clock was set back by hours meanwhile.
    then = int(time.time())
    ahead = replace(now, status=replace(now.status, missing_since_s=then + 25_200))
    assert then <= (ask(Cluster(), ahead)[0].status.missing_since_s or 0) < then + 60
    monkeypatch.setattr(polling, "GONE_S", -1)
    (now,) = ask(Cluster(), now)
    assert (now.status.state, now.status.reason, now.status.exit_code) == (State.FAILED, "unknown", None)
    assert str(now.status.note).endswith("is gone; so nobody knows how it ended; it counts as failed")


def test_a_task_that_ended_stays_as_it_ended(array: Run) -> None:
    write_result(array, "task-1/attempt-1", 3, "program-error")
    cluster = Cluster(
        queue="7_[2-3]|k3f9|PENDING|0:00|JobArrayTaskLimit\n",
        accounting="7_0|k3f9|OUT_OF_MEMORY|0:125|5\n7_1|k3f9|FAILED|3:0|5\n",
    )
    (then,) = ask(cluster, array)
    # By now it is forgotten, and the second one's folder is purged.
    Path(array.run_dir, "task-1", "attempt-1", "result.json").unlink()
    write_result(array, "task-2/attempt-1")
    later = Cluster(queue="7_3|k3f9|RUNNING|0:05|None\n", accounting="7_2|k3f9|COMPLETED|0:0|5\n")
    (now,) = ask(later, then)
    assert [now.task_statuses[task] for task in (0, 1)] == [then.task_statuses[task] for task in (0, 1)]
    assert [now.task_statuses[task].state for task in (2, 3)] == [State.COMPLETED, State.RUNNING]


def test_results_are_read_by_one_program(tmp_path: Path) -> None:
    contents = {
        "whole": '{"reason": "ok"}\n',
        "lines": '{\n "x": "a\\\\nb",\n\n "é": 1\n}',
        "empty": "",
        "large": "x" * 70_000,
        "many": "line\n" * 20_000,
        r"odd\n=-' name": "odd\n",
    }
    for name, content in contents.items():
        (tmp_path / name / "attempt-1").mkdir(parents=True)
        (tmp_path / name / "attempt-12").mkdir()
        (tmp_path / name / "attempt-1" / "result.json").write_text("old")
        (tmp_path / name / "attempt-12" / "result.json").write_text(content)
    (tmp_path / "begun" / "attempt-1").mkdir(parents=True)
    (tmp_path / "fresh").mkdir()
    (tmp_path / "folder" / "attempt-1" / "result.json").mkdir(parents=True)
    names = [*contents, "begun", "fresh", "folder", "none", "fresh/task-1", "none/task-1"]
    done = subprocess.run(
        ["sh", "-c", polling._RESULTS, "slipway", "-mark-"],
        input="".join(f"{tmp_path / name}\n" for name in names),
        capture_output=True,
        text=True,
        check=True,
    )
    *found, rest = done.stdout.split("-mark-")
    assert (rest, done.stderr) == ("", "")
    read = dict(zip(names, found, strict=True))
    assert [read[name] for name in ("whole", "lines", "empty", r"odd\n=-' name")] == [
        '{"reason": "ok"}',
        contents["lines"],
        "",
        "odd",
    ]
    assert len(read["large"]) == 65_536
    assert 65_000 < len(read["many"]) < 66_000
    assert [read[name] for name in names[6:]] == [
        "begun\n",
        "",
        "no file\n",
        "no folder\n",
        "",
        "no folder\n",
    ]
