"""The job script where tasks share a job: a stand-in takes Apptainer's place, and real bash does the rest."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from slipway.job.bundles import Bundles
from slipway.job.elements import Element, element_files
from slipway.job.script import words_file
from slipway.scheduler.slurm.resources import SlurmResources
from tests.unit.node import Node
from tests.waiting import PATIENCE_S, wait_until

# Its first word is a shell's text.
PROGRAM = ("sh", "-c", 'eval "$1"', "sh")


class SharedNode:
    """A node on which a job of an array begins, with the tasks that share it."""

    def __init__(
        self,
        folder: Path,
        bundles: Bundles,
        programs: Mapping[int, str],
        wanted: SlurmResources | None = None,
    ) -> None:
        resources = bundles.ask(wanted or SlurmResources(array=f"0-{len(programs) - 1}"))
        self.node = Node(folder, resources=resources, elements=True, bundles=bundles)
        self.run_dir = self.node.run_dir
        elements = [Element(values={}, args=(programs[task],)) for task in sorted(programs)]
        files = element_files(PROGRAM, elements)
        (self.run_dir / "elements").write_bytes(files.words)
        (self.run_dir / "elements.index").write_bytes(files.index)
        (self.run_dir / "bundles").write_bytes(bundles.file())
        (self.run_dir / "environment").write_bytes(words_file([f"DIR={folder}"]))

    def start(self, job: int, **variables: str) -> subprocess.Popen[bytes]:
        environment = (f"DIR={self.node.folder}",)
        return self.node.start(environment=environment, SLURM_ARRAY_TASK_ID=str(job), **variables)

    def run(self, job: int, **variables: str) -> int:
        with self.start(job, **variables) as process:
            return process.wait(timeout=PATIENCE_S)

    def result(self, task: int, attempt: int = 1) -> dict[str, object]:
        loaded: dict[str, object] = json.loads(self.file(task, "result.json", attempt).read_text())
        return loaded

    def file(self, task: int, name: str, attempt: int = 1) -> Path:
        return self.run_dir / f"task-{task}" / f"attempt-{attempt}" / name

    def log(self, task: int, attempt: int = 1) -> str:
        return self.file(task, "log", attempt).read_text()


def one_lane(*tasks: int, minutes: Mapping[int, int] | None = None) -> Bundles:
    return Bundles(jobs=((tasks,),), minutes=minutes if minutes is not None else dict.fromkeys(tasks, 10))


def test_one_that_fails_does_not_stop_those_after_it(tmp_path: Path) -> None:
    bundles = Bundles(jobs=(((2, 0),), ((3, 1),)), minutes=dict.fromkeys(range(4), 10))
    programs = {
        0: "echo $SLURM_ARRAY_TASK_ID >$DIR/task",
        1: "exit 3",
        2: "echo words of 2; exit 7",
        3: "echo three >$DIR/three",
    }
    shared = SharedNode(tmp_path, bundles, programs)
    assert shared.run(0) == 7
    assert (shared.result(2)["exit_code"], shared.result(2)["reason"]) == (7, "program-error")
    assert (shared.result(0)["exit_code"], shared.result(0)["reason"]) == (0, "ok")
    assert shared.log(2) == "words of 2\n"
    # A program knows which task it is; the script asks SLURM about the job.
    assert (tmp_path / "task").read_text() == "0\n"
    assert (shared.result(0)["task"], shared.result(0)["job_id"]) == (0, "7")
    assert not (shared.run_dir / "task-1").exists()
    assert shared.run(1) == 3
    assert (tmp_path / "three").exists()
    assert shared.result(1)["reason"] == "program-error"


def test_what_has_ended_is_not_run_again_after_a_requeue(tmp_path: Path) -> None:
    count = "echo $SLURM_ARRAY_TASK_ID >>$DIR/ran"
    programs = {0: count, 1: f"{count}; exit 1", 2: count, 3: count}
    shared = SharedNode(tmp_path, one_lane(0, 1, 2, 3), programs)
    for task, reason in enumerate(("ok", "program-error", "preempted")):
        shared.file(task, "out").mkdir(parents=True)
        shared.file(task, "result.json").write_text(
            f'{{"exit_code": 0, "reason": "{reason}",\n "note": ""}}\n'
        )
    # Killed before it could say anything.
    shared.file(3, "out").mkdir(parents=True)
    assert shared.run(0, SLURM_RESTART_COUNT="1") == 0
    assert (tmp_path / "ran").read_text().split() == ["2", "3"]
    assert shared.result(2, 2)["reason"] == "ok"
    assert not shared.file(0, "", 2).exists()


@pytest.mark.parametrize(
    ("shown", "reason", "later"),
    [
        ("JobState=RUNNING Reason=None", "cancelled", ["cancelled", 143]),
        ("JobState=TIMEOUT Reason=TimeLimit Partition=a", "time-limit", ["time-limit", 1]),
        ("JobState=PREEMPTED PreemptTime=2026-01-01 Reason=None", "preempted", None),
    ],
)
def test_a_job_that_is_ended_tells_those_that_had_not_begun(
    tmp_path: Path, shown: str, reason: str, later: list[object] | None
) -> None:
    (tmp_path / "scontrol").write_text(f"#!/bin/sh\necho 'JobId=7 {shown} '\n")
    (tmp_path / "scontrol").chmod(0o755)
    programs = {0: "echo began; exec sleep 1000", 1: "touch $DIR/one"}
    shared = SharedNode(tmp_path, one_lane(0, 1), programs)
    with shared.start(0, PATH=f"{tmp_path}:{os.environ['PATH']}") as process:
        wait_until(lambda: shared.file(0, "log").exists() and shared.log(0), "its words")
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=PATIENCE_S) == 143
    assert (shared.result(0)["exit_code"], shared.result(0)["reason"]) == (143, reason)
    assert not (tmp_path / "one").exists()
    if later is None:
        assert not (shared.run_dir / "task-1").exists()
    else:
        assert [shared.result(1)["reason"], shared.result(1)["exit_code"]] == later
        assert str(shared.result(1)["note"]).startswith("it had not begun when")
        assert "slipway: node1: it had not begun when" in shared.log(1)


def test_the_warning_before_the_limit_reaches_what_runs_and_nothing_begins_after_it(tmp_path: Path) -> None:
    programs = {
        0: 'trap "echo saved; exit 0" USR1; echo began; while :; do sleep 0.1; done',
        1: "touch $DIR/one",
    }
    shared = SharedNode(tmp_path, one_lane(0, 1), programs)
    with shared.start(0) as process:
        wait_until(lambda: shared.file(0, "log").exists() and shared.log(0), "its words")
        process.send_signal(signal.SIGUSR1)
        process.wait(timeout=PATIENCE_S)
    assert shared.log(0) == "began\nsaved\n"
    assert (shared.result(0)["exit_code"], shared.result(0)["reason"]) == (0, "time-limit")
    assert shared.result(1)["reason"] == "time-limit"
    assert shared.result(1)["note"] == "it had not begun when the time limit of its job came"
    assert not (tmp_path / "one").exists()


@pytest.mark.long
def test_one_that_does_not_end_leaves_the_time_of_those_after_it(tmp_path: Path) -> None:
    # No whole minutes here.
    programs = {0: 'trap "" TERM; exec sleep 1000', 1: "echo later"}
    shared = SharedNode(tmp_path, one_lane(0, 1), programs)
    (shared.run_dir / "bundles").write_text("0:8,1:600\n")
    script = shared.run_dir / "job.sh"
    script.write_text(script.read_text().replace("job_s=1200", "job_s=608"))
    assert shared.run(0) == 137
    assert (shared.result(0)["exit_code"], shared.result(0)["reason"]) == (137, "time-limit")
    assert shared.result(1)["reason"] == "ok"
    assert shared.log(1) == "later\n"


def test_time_that_others_have_left_over_is_used(tmp_path: Path) -> None:
    programs = {0: "true", 1: "sleep 1.5; echo done", 2: "true"}
    shared = SharedNode(tmp_path, one_lane(0, 1, 2), programs)
    # The second has one second; the first has left it most of its own.
    (shared.run_dir / "bundles").write_text("0:600,1:1,2:600\n")
    assert shared.run(0) == 0
    assert shared.result(1)["reason"] == "ok"


def test_a_job_that_is_in_no_bundle_says_so(tmp_path: Path) -> None:
    shared = SharedNode(tmp_path, one_lane(0, 1), {0: "true", 1: "true"})
    assert shared.run(4) == 1
    assert not (shared.run_dir / "task-4").exists()


def side_by_side(*tasks: int) -> Bundles:
    return Bundles(jobs=(tuple((task,) for task in tasks),), minutes=dict.fromkeys(tasks, 10))


def test_two_side_by_side_have_their_own_gpus_and_processors(tmp_path: Path) -> None:
    # Each ends when the other has begun, and one of them fails.
    meet = (
        'echo "$CUDA_VISIBLE_DEVICES $SLURM_CPUS_PER_TASK $OMP_NUM_THREADS"; '
        "sed -n 's/^Cpus_allowed_list:[^0-9]*//p' /proc/self/status; "
        "touch $DIR/{me}; until [ -e $DIR/{other} ]; do sleep 0.1; done; exit {me}"
    )
    programs = {0: meet.format(me=0, other=1), 1: meet.format(me=1, other=0)}
    wanted = SlurmResources(array="0-1", gpus="2", cpus=3)
    shared = SharedNode(tmp_path, side_by_side(0, 1), programs, wanted)
    assert shared.run(0, CUDA_VISIBLE_DEVICES="GPU-a,GPU-b,GPU-c,3", SLURM_CPUS_PER_TASK="6") == 1
    assert [shared.result(task)["reason"] for task in (0, 1)] == ["ok", "program-error"]
    (first, cpus), (second, others) = (shared.log(task).splitlines() for task in (0, 1))
    assert (first, second) == ("GPU-a,GPU-b 3 3", "GPU-c,3 3 3")
    assert shared.result(1)["gpus"] == "GPU-c,3"
    if len(os.sched_getaffinity(0)) > 1:
        assert not numbers(cpus) & numbers(others)


def numbers(ranges: str) -> set[int]:
    ends = [part.split("-") for part in ranges.split(",")]
    return {number for one in ends for number in range(int(one[0]), int(one[-1]) + 1)}


@pytest.mark.parametrize(
    ("given", "seen"),
    [
        # A site that gives whole nodes does not say which GPUs these are.
        (None, ["0", "1"]),
        ("7,5", ["7", "5"]),
        # Fewer than were asked for: nobody is left without.
        ("3", ["3", "3"]),
    ],
)
def test_which_gpus_each_sees(tmp_path: Path, given: str | None, seen: list[str]) -> None:
    programs = dict.fromkeys(range(2), "echo $CUDA_VISIBLE_DEVICES")
    shared = SharedNode(tmp_path, side_by_side(0, 1), programs, SlurmResources(array="0-1", gpus="1", cpus=1))
    variables = {} if given is None else {"CUDA_VISIBLE_DEVICES": given}
    assert shared.run(0, **variables) == 0
    assert [shared.log(task).strip() for task in (0, 1)] == seen


def test_lanes_of_several(tmp_path: Path) -> None:
    bundles = Bundles(jobs=(((0, 1), (2, 3)),), minutes=dict.fromkeys(range(4), 10))
    count = "echo $SLURM_ARRAY_TASK_ID >>$DIR/ran"
    # The first of one lane goes on until the other lane is over.
    programs = {
        0: f"until [ -e $DIR/last ]; do sleep 0.1; done; {count}",
        1: count,
        2: count,
        3: f"{count}; touch $DIR/last",
    }
    shared = SharedNode(tmp_path, bundles, programs)
    assert shared.run(0) == 0
    assert (tmp_path / "ran").read_text().split() == ["2", "3", "0", "1"]


def test_a_signal_reaches_all_lanes(tmp_path: Path) -> None:
    programs = dict.fromkeys(
        range(2), 'trap "echo saved; exit 0" TERM; echo began; while :; do sleep 0.1; done'
    )
    shared = SharedNode(tmp_path, side_by_side(0, 1), programs)
    with shared.start(0) as process:
        for task in (0, 1):
            wait_until(lambda: shared.file(task, "log").exists() and shared.log(task), "its words")  # noqa: B023
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=PATIENCE_S)
    assert [shared.log(task) for task in (0, 1)] == ["began\nsaved\n"] * 2
