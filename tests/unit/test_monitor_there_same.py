"""The monitor's program on a cluster means the same by what it reads there as Slipway does here."""
# ruff: noqa: E501 - tables of what programs print

import ast
import itertools
import json
import random
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from slipway.errors import ParseError
from slipway.host.host import Host
from slipway.job import poll as polling_here
from slipway.job.ending import merge_status, parse_result
from slipway.job.poll import poll
from slipway.job.run import Reason, Run, Status
from slipway.monitor.decide import Case, decide
from slipway.monitor.failure import PATTERNS, classify, shown_end
from slipway.monitor.rule import Failure, Rule
from slipway.monitor.there import failure as failure_there
from slipway.monitor.there import poll as polling_there
from slipway.monitor.there import rows, slurm
from slipway.monitor.there import run as run_there
from slipway.monitor.there import status as status_there
from slipway.monitor.there.look import Seen
from slipway.monitor.there.submit import ranges as ranges_there
from slipway.monitor.there.watch import Watch
from slipway.scheduler.base import Job, State
from slipway.scheduler.slurm.memory import parse_memory
from slipway.scheduler.slurm.parse import (
    parse_accounting,
    parse_queue,
    parse_shown,
    parse_state,
    parse_submission,
    parse_tasks,
)
from slipway.shell import LocalShell, Result
from slipway.site import Queue
from slipway.steps.try_again import ranges
from tests.campaign import others_long
from tests.unit.monitor_there import RULES, Cluster, cluster, make_site

__all__ = ["cluster"]
PROGRAM = sorted((Path(__file__).parents[2] / "slipway/monitor/there").glob("*.py"))
# What the standard library of 3.6 has of what the program uses.
LIBRARY = {
    "collections", "contextlib", "datetime", "io", "itertools", "json", "os", "pathlib", "re", "secrets", "shutil",
    "signal", "socket", "subprocess", "sys", "tarfile", "threading", "time", "traceback", "typing",
}  # fmt: skip
# Names of attributes and arguments that came later than 3.6, of those modules.
LATER = {
    "capture_output", "removeprefix", "removesuffix", "missing_ok", "readlink", "fromisoformat", "dirs_exist_ok",
    "text", "time_ns", "is_relative_to", "with_stem", "walk", "UTC", "pairwise", "batched", "cache", "Literal", "Final",
    "Protocol", "TypedDict", "nullcontext", "asynccontextmanager", "reconfigure", "unlink_missing",
}  # fmt: skip


@pytest.mark.parametrize("file", PROGRAM, ids=lambda file: file.name)
def test_python_3_6_can_read_it(file: Path) -> None:
    tree = ast.parse(file.read_text(encoding="utf-8"), feature_version=(3, 6))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name for alias in node.names} <= LIBRARY
        elif isinstance(node, ast.ImportFrom):
            assert node.level or node.module in LIBRARY
            assert not LATER & {alias.name for alias in node.names}
        elif isinstance(node, ast.Attribute):
            is_os = isinstance(node.value, ast.Name) and node.value.id == "os"
            assert node.attr not in LATER - ({"readlink"} if is_os else set())
        elif isinstance(node, ast.keyword):
            assert node.arg not in {*LATER, "strict"}
        assert not isinstance(node, ast.NamedExpr)
        # Python 3.6 cannot subscript what typing is not asked for: list[int].
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Name):
            assert node.value.id not in {"list", "dict", "set", "tuple", "type"}
        # Nor has it `int | None`; numbers are not joined in this program.
        assert not (isinstance(node, ast.BinOp) and isinstance(node.op, ast.BitOr))
    assert set(sys.stdlib_module_names) >= LIBRARY


def test_states() -> None:
    words = [
        *State,
        "CONFIGURING",
        "REQUEUE_HOLD",
        "SPECIAL_EXIT",
        "RESIZING",
        "STAGE_OUT",
        "STOPPED",
        "BOOT_FAIL",
    ]
    for word in [
        *words,
        "DEADLINE",
        "REVOKED",
        "SIGNALING",
        "REQUEUED",
        "REQUEUE_FED",
        "RESV_DEL_HOLD",
        "NEW",
        "",
    ]:
        assert rows.parse_state(word) == parse_state(word).value
    assert set(status_there.OVER) == {state.value for state in State if state.is_over}


RESULTS = [
    None,
    *(
        {
            "exit_code": code,
            "reason": reason.value,
            "start": 1,
            "end": 5,
            "node": "n2",
            "continues": continues,
        }
        for code in (0, 1, 137, 139)
        for reason in Reason
        for continues in (False, True)
    ),
]
ENDS = [(None, None), (0, None), (1, None), (9, None), (0, 9), (0, 10), (0, 125), (11, None)]


def values_of(one: Any) -> tuple[Any, ...]:
    names = ("state", "reason", "exit_code", "elapsed_s", "node", "script_reason")
    return tuple(getattr(getattr(one, name), "value", getattr(one, name)) for name in names)


@pytest.mark.parametrize("state", [None, *State])
def test_endings(state: State | None) -> None:
    for values, (code, signal) in itertools.product(RESULTS, ENDS):
        text = json.dumps(values)
        here = None if values is None else parse_result(text)
        there = None if values is None else status_there.parse_result(text)
        job = job_there = None
        if state is not None:
            job = Job(
                job_id="7", name="a", state=state, exit_code=code, signal=signal, elapsed_s=3, node="n1"
            )
            job_there = status_there.Job("7", "a", state.value, None, code, signal, 3, "n1")
        assert values_of(status_there.merge(job_there, there)) == values_of(merge_status(job, here)), (
            values,
            code,
            signal,
        )


@pytest.mark.parametrize(
    "text",
    [
        "", "{", "[]", "null", '{"exit_code": 0}', '{"exit_code": true, "reason": "ok", "start": 1, "end": 2}',
        '{"exit_code": 300, "reason": "ok", "start": 1, "end": 2}', '{"exit_code": 0, "reason": "no", "start": 1, "end": 2}',
        '{"exit_code": 0, "reason": "ok", "start": 1, "end": 2, "job_id": 7}',
        '{"exit_code": 0, "reason": "ok", "start": 1, "end": 2}',
    ],
)  # fmt: skip
def test_results_that_no_script_wrote(text: str) -> None:
    try:
        here: Any = parse_result(text)
    except ParseError:
        here = None
    assert (status_there.parse_result(text) is None) == (here is None)


QUEUES = [
    "", "slipway|JOBID|NAME|STATE|TIME|TIME_LIMIT|START_TIME|NODELIST|REASON\n", "a notice\n", "slipway|7|a\n",
    "hello\nslipway|7|a|RUNNING|1-02:03:04|10:00|5|n[1-2]|None\n", "slipway|7_[1-3,9%2]|a|PENDING|0:00|10:00|N/A||Priority\n",
    "slipway|7_3|a|CONFIGURING|0:00|10:00|N/A|n1|a|b\n", "slipway|7_[1,3,...]|a|PENDING|0:00|1|N/A||None\n", "slipway|x|a|R|||||\n",
    "slipway|7_[3-1]|a|PENDING|0:00|1|N/A||None\n", "slipway|7_[1-9:0]|a|PENDING|0:00|1|N/A||None\n",
]  # fmt: skip
ACCOUNTS = [
    "", "a notice\n", "7|a|COMPLETED|0:0|10|00:10:00|1|2|n1\n", "7_1|a|CANCELLED by 1000|0:15|10|00:10:00|1|2|None assigned\n",
    "7_[1-2]|a|PENDING|0:0|0|00:10:00|Unknown|Unknown|None assigned\nnotice\n", "7|a|TIMEOUT|x|y|z|1|2|n1\n", "7.batch|a|b|c|d|e|f|g|h\n",
]  # fmt: skip
SHOWN = [
    "", "JobId=7 JobName=a UserId=x(1) JobState=FAILED ExitCode=3:0 RunTime=00:00:10 NodeList=n1\n", "slurm: no\n",
    "JobId=8 ArrayJobId=7 ArrayTaskId=2-4%2 JobName=a JobState=PENDING NodeList=(null)\n", "JobId=8 JobName=a\n",
    "JobId=8 ArrayJobId=7 ArrayTaskId=2 JobName=a JobState=RUNNING ExitCode=0:9\n",
]  # fmt: skip


@pytest.mark.parametrize(
    ("here", "there", "texts"),
    [
        (parse_queue, rows.parse_queue, QUEUES),
        (parse_accounting, rows.parse_accounting, ACCOUNTS),
        (parse_shown, rows.parse_shown, SHOWN),
    ],
)
def test_what_slurm_prints(here: Any, there: Any, texts: Sequence[str]) -> None:
    for text in texts:
        try:
            expected = [
                (j.job_id, j.name, j.state.value, j.task, j.exit_code, j.signal, j.elapsed_s, j.node)
                for j in here(text)
            ]
        except ParseError:
            with pytest.raises(rows.UnreadableError):
                there(text)
        else:
            assert [tuple(job) for job in there(text)] == expected, text


def test_ids_and_submissions() -> None:
    for shown in ("7", "7_3", "7_[1-3]", "7_[1,5-9:2%4]", "7_[1,...]"):
        assert rows.parse_tasks(shown, "x") == parse_tasks(shown, "x")
    for code, out, err in itertools.product(
        (0, 1, 124, 137, 255), ("", "hello\n12;c\n", "12\n"), ("", "sbatch: error: no\n", "x\n")
    ):
        made = parse_submission(code, out, err)
        assert slurm.parse_submission(slurm.Done(code, out, err)) == (made.job_id, made.refusal)
    for numbers in ([1], [1, 2, 3, 7], []):
        assert ranges_there(numbers) == ranges(numbers)


LOGS = [
    "", "ValueError: no", "CUDA out of memory", "MemoryError\n", "x\rOSError: [Errno 116] x\r", "a\nDisk quota exceeded\nCUDA out of memory",
    "Input/output error\nCUDA out of memory", "CUDA out of memory\n" + "l\n" * 80, "std::bad_alloc\nStale file handle",
]  # fmt: skip


def test_why_it_failed() -> None:
    reasons = [None, "new", *(reason.value for reason in Reason)]
    for state, reason, log in itertools.product(State, reasons, LOGS):
        there = failure_there.classify(status_there.Status(state.value, reason=reason), log, PATTERNS)
        here = classify(Status(state=state, reason=reason), log)
        assert there == (None if here is None else here.value)
    for log in LOGS:
        assert failure_there.shown_end(log) == shown_end(log)


class Here:
    """In the place of a connection: what would run there runs here, with the stand-ins on PATH."""

    target = "h"

    def run_in_login_shell(
        self, argv: Sequence[str], *, stdin: Sequence[bytes] = (), stdin_bytes: int = 0
    ) -> Result:
        return LocalShell().run(argv, stdin=b"".join(stdin).decode())


def test_how_runs_stand(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(polling_here, "LOOK_S", 0)
    monkeypatch.setattr(polling_there, "LOOK_S", 0)
    monkeypatch.setattr(polling_here, "LOOKS", 1)
    monkeypatch.setattr(polling_there, "LOOKS", 1)
    states = (
        "RUNNING",
        "PENDING",
        "COMPLETED",
        "FAILED",
        "TIMEOUT",
        "NODE_FAIL",
        "PREEMPTED",
        "CANCELLED by 1",
    )
    queued, accounted = (None, *states[:2], "COMPLETING"), (None, *states)
    scripts = (None, ("ok", 0), ("program-error", 3), ("preempted", 143), ("time-limit", 0), "not json")
    cases = list(itertools.product(queued, accounted, scripts))
    queue, accounting, runs = [], [], []
    for number, (waiting, ended, script) in enumerate(cases):
        name = f"run{number}"
        run = cluster.run(name, job_id=str(1000 + number))
        if waiting:
            queue.append(f"{1000 + number}|{name}|{waiting}")
        if ended:
            accounting.append(f"{1000 + number}|{name}|{ended}|1:0")
        if isinstance(script, tuple):
            cluster.ended(name, None, *script)
        elif script:
            folder = cluster.root / "runs" / name / "attempt-1"
            folder.mkdir()
            (folder / "result.json").write_text(script)
        runs.append(run)
    cluster.say("\n".join(queue), "\n".join(accounting))
    compare(runs, cases)
    # The queue cannot be asked.
    (cluster.folder / "down").touch()
    compare(runs, cases)


def compare(runs: Sequence[Run], cases: Sequence[object]) -> None:
    here = poll(cast("Host", Here()), runs)
    there = [as_there(run) for run in runs]
    polling_there.poll(COMMANDS, there)
    for one, other, case in zip(here, there, cases, strict=True):
        assert values_of(other.status(None)) == values_of(one.status), case


COMMANDS = {"queue": ["squeue", "--name=@slipway-names@"], "accounting": ["sacct"], "show": ["scontrol"]}


def as_there(run: Run) -> run_there.Run:
    return run_there.Run(run.run_id, {"job_id": run.job_id, "submitted": run.submitted.isoformat()})


@pytest.mark.parametrize("seed", others_long(range(30), *range(10)))
def test_the_table_says_what_the_rules_say(cluster: Cluster, seed: int) -> None:
    """Along ways that are drawn, the table's words and requests are those of decide, try by try."""
    rng = random.Random(seed)  # noqa: S311
    factor = rng.choice([1.5, 2, 3])
    rules = RULES.model_copy(update={"out_of_memory": Rule(do="more-memory", factor=factor)})  # type: ignore[arg-type]
    queues = {
        "gpu": Queue(max_time="1:00:00", max_mem="6G"),
        "big": Queue(max_time="2:00:00", max_mem="100G"),
    }
    site = make_site(rules, queues)
    run = cluster.run("first", resources={"gpus": rng.choice(["rtx:1", "a100:1", "1"]), "partition": "gpu"})
    watch = Watch(cluster.order([run], site, most_tries=6))
    there, resources, tries = as_there_whole(run), dict(run.resources), 1
    while True:
        failure = rng.choice(list(Failure))
        state = rng.choice([State.FAILED, State.TIMEOUT])
        status = Status(state=state, exit_code=rng.choice([None, 0, 3]), node=rng.choice([None, "node1"]))
        case = Case(label="it", failure=failure, status=status, tries=tries, resources=resources)
        here = decide(case, rules, queues, most_tries=6)
        watch.runs["first"] = there
        seen = Seen(
            "it",
            (("first", None),),
            "",
            status_there.Status(state.value, exit_code=status.exit_code, node=status.node),
        )
        found = watch._decide(seen, failure.value)
        assert found.words == here.words
        assert (found.state is not None) == here.again
        if not here.again:
            break
        resources.update(here.changes)
        tries += 1
        there = run_there.Run(
            "first",
            {
                "submitted": "2026-01-31",
                "resources": resources,
                "plan": "first",
                "tries": ["x"] * (tries - 1),
            },
        )
        assert there.state == found.state
        asked = watch.order["plans"]["first"]["states"][found.state]
        assert {key: value for key, value in asked["resources"].items() if value and key != "array"} == {
            key: value for key, value in resources.items() if value
        }
        assert f"--mem={resources['mem']}" in asked["options"]
        assert f"--time={resources['time']}" in asked["options"]


def as_there_whole(run: Run) -> run_there.Run:
    values = {
        "submitted": run.submitted.isoformat(),
        "resources": run.resources,
        "plan": "first",
        "tries": run.tries,
    }
    return run_there.Run(run.run_id, values)


def test_memory_that_nobody_has_asked_for(cluster: Cluster) -> None:
    run = cluster.run("first", resources={"mem": None})
    cluster.say(accounting="7|first|OUT_OF_MEMORY|0:125")
    look, _ = Watch(cluster.order([run])).look()
    assert look.seen[0].words == (
        "element n=None: out of memory → stop: what memory it had is not known; write mem for it"
    )
    look, _ = Watch(cluster.order([run], given={"first": 3 << 30})).look()
    assert look.seen[0].words == "element n=None: out of memory → with 6G of memory, try 2 of 3"


def test_what_memory_jobs_were_given() -> None:
    printed = (
        "a notice\n7_0|1|billing=2,cpu=2,mem=400M,node=1|cpu=2,mem=300M|first\n"
        "8|2||billing=1,cpu=1,mem=8G,node=2|second\n9|1|||third\n"
    )
    assert parse_memory(printed) == [("first", 400 << 20), ("second", 4 << 30)]


def test_refusals_of_the_site_are_in_the_table(cluster: Cluster) -> None:
    run = cluster.run("first", resources={"gpus": "rtx:1", "partition": "gpu"})
    site = make_site(queues={"gpu": Queue(), "big": Queue(max_gpus={"h100": 1})})
    [state] = [
        one
        for one in cluster.order([run], site)["plans"]["first"]["states"].values()
        if one["resources"]["gpus"] == "rtx:1"
        and one["resources"]["mem"] == "1G"
        and one["resources"]["time"] == "10"
    ]
    row = state["failures"]["out-of-gpu-memory"]
    assert row["again"] is False
    assert row["then"].startswith(
        "stop: it cannot be submitted again: gpus a100:1 (--gpus) are not on any node of "
    )


def test_runs_that_are_over_are_known_to_be(cluster: Cluster) -> None:
    ended = Status(
        state=State.FAILED, reason="out-of-memory", exit_code=137, elapsed_s=10, script_reason="out-of-memory"
    )
    run = replace(cluster.run("first"), status=ended)
    watch = Watch(cluster.order([run]))
    look, _ = watch.look()
    assert look.seen[0].words == "element n=None: out of memory with 1G → with 2G of memory, try 2 of 3"
