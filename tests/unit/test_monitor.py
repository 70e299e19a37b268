"""The monitor: why runs failed, what the rules make of it, what it costs, and who submits a try."""

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timezone
from pathlib import Path, PurePosixPath
from typing import cast

import pytest

from slipway.errors import ConfigError, ParseError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.run import Reason, Run, Status
from slipway.model import read_values
from slipway.monitor.claim import Claim, make_claims, parse_claims, read_claims, write_down
from slipway.monitor.decide import Case, count_bad_nodes, decide
from slipway.monitor.failure import classify, shown_end
from slipway.monitor.rule import Failure, Rules
from slipway.monitor.spending import Budget, Spent, check_costs, spent
from slipway.scheduler.base import State
from slipway.scheduler.slurm.site import SlurmSite
from slipway.shell import LocalShell
from slipway.site import Login, Paths, Queue
from slipway.site_file import load_site
from slipway.steps.try_again import ranges

FAILED = Status(state=State.FAILED, reason=Reason.PROGRAM_ERROR.value, exit_code=1, node="node2")
LADDER = read_values(Rules, {"gpu_ladder": ("rtx:1", {"gpus": "a100:1", "partition": "big"})})
QUEUES = {"gpu": Queue(max_time="2-00:00:00", max_mem="100G")}


@pytest.mark.parametrize(
    ("end", "failure"),
    [
        ("RuntimeError: CUDA out of memory. Tried to allocate 20.00 MiB", Failure.OUT_OF_GPU_MEMORY),
        ("torch.OutOfMemoryError: CUDA out of memory.", Failure.OUT_OF_GPU_MEMORY),
        ("CUDA error: out of memory", Failure.OUT_OF_GPU_MEMORY),
        ("RESOURCE_EXHAUSTED: Out of memory while trying to allocate", Failure.OUT_OF_GPU_MEMORY),
        ("Traceback …\nMemoryError", Failure.OUT_OF_MEMORY),
        ("numpy.core._exceptions._ArrayMemoryError: Unable to allocate", Failure.OUT_OF_MEMORY),
        ("terminate called after throwing\n  what():  std::bad_alloc", Failure.OUT_OF_MEMORY),
        ("slam: there was not enough memory; ask for more (--mem)", Failure.OUT_OF_MEMORY),
        ("OSError: [Errno 116] Stale file handle: '/data/x'", Failure.FILE_SYSTEM),
        ("cp: error reading '/data/x': Input/output error", Failure.FILE_SYSTEM),
        ("Transport endpoint is not connected", Failure.FILE_SYSTEM),
        # What does not pass by itself, also where the file system complains besides.
        ("OSError: [Errno 122] Disk quota exceeded", Failure.PROGRAM_ERROR),
        ("Input/output error\nNo space left on device", Failure.PROGRAM_ERROR),
        ("ValueError: no", Failure.PROGRAM_ERROR),
        ("", Failure.PROGRAM_ERROR),
        # The last of several counts; what stands far above does not.
        ("Input/output error, tried again\nCUDA out of memory", Failure.OUT_OF_GPU_MEMORY),
        ("CUDA out of memory\n" + "line\n" * 80 + "ValueError: no", Failure.PROGRAM_ERROR),
        ("step 1\rstep 2\rCUDA out of memory\r", Failure.OUT_OF_GPU_MEMORY),
    ],
)
def test_why_a_program_failed(end: str, failure: Failure) -> None:
    assert classify(FAILED, end) is failure


@pytest.mark.parametrize(
    ("state", "reason", "failure"),
    [
        (State.COMPLETED, "ok", None),
        (State.RUNNING, None, None),
        (State.PENDING, None, None),
        (State.UNKNOWN, None, None),
        (State.OUT_OF_MEMORY, "out-of-memory", Failure.OUT_OF_MEMORY),
        (State.TIMEOUT, "time-limit", Failure.TIME_LIMIT),
        (State.COMPLETED, "time-limit", Failure.TIME_LIMIT),
        (State.PREEMPTED, "preempted", Failure.PREEMPTED),
        (State.NODE_FAIL, "node-failure", Failure.NODE_FAILURE),
        (State.FAILED, "launch-failure", Failure.LAUNCH_FAILURE),
        (State.CANCELLED, "cancelled", Failure.CANCELLED),
        (State.FAILED, "unknown", Failure.UNKNOWN),
        (State.FAILED, "a word of a newer Slipway", Failure.UNKNOWN),
    ],
)
def test_why_a_run_failed_by_its_reason(state: State, reason: str | None, failure: Failure | None) -> None:
    # What the log says does not count where SLURM knows it.
    assert classify(Status(state=state, reason=reason), "") is failure
    if failure not in (None, Failure.LAUNCH_FAILURE):
        assert classify(Status(state=state, reason=reason), "CUDA out of memory") is failure


def case(failure: Failure, **changes: object) -> Case:
    values = {"label": "x", "failure": failure, "status": FAILED, "tries": 1, "resources": {}}
    return Case(**{**values, **changes})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("failure", "resources", "changes", "words"),
    [
        ("out-of-memory", {"mem": "4G"}, {"mem": "8G"}, "with 8G of memory, try 2 of 3"),
        ("out-of-memory", {"mem": "1500M"}, {"mem": "3000M"}, "out of memory with 1500M → "),
        ("out-of-memory", {"mem": "60G", "partition": "gpu"}, {"mem": "100G"}, "with 100G of memory"),
        (
            "out-of-memory",
            {"mem": "100G", "partition": "gpu"},
            None,
            "stop: it had 100G, and there is no more",
        ),
        ("out-of-memory", {}, None, "stop: what memory it had is not known"),
        ("out-of-gpu-memory", {"gpus": "rtx:1"}, {"gpus": "a100:1", "partition": "big"}, "on a100:1 in big"),
        ("out-of-gpu-memory", {"gpus": "rtx:2"}, {"gpus": "a100:1", "partition": "big"}, "on rtx:2 → "),
        ("out-of-gpu-memory", {"gpus": "1"}, {"gpus": "rtx:1"}, "on rtx:1"),
        ("out-of-gpu-memory", {"gpus": "a100:1"}, None, "stop: a100:1 is the last of gpu_ladder"),
        ("time-limit", {"time": "1:00:00"}, {"time": "2:00:00"}, "goes on from what it wrote, with 2:00:00"),
        (
            "time-limit",
            {"time": "1-12:00:00", "partition": "gpu"},
            {"time": "2-00:00:00"},
            "of 1-12:00:00 → ",
        ),
        ("time-limit", {"time": "2-00:00:00", "partition": "gpu"}, {}, "goes on from what it wrote, try 2"),
        ("preempted", {}, {}, "preempted on node2 → again, try 2 of 3"),
        ("node-failure", {}, {}, "its node failed on node2 → again"),
        ("launch-failure", {}, {}, "again"),
        ("file-system", {}, {}, "again"),
        ("program-error", {}, None, "the program failed, exit code 1 → stop: the same program would fail"),
        ("cancelled", {}, None, "stop: somebody wanted it so"),
        ("unknown", {}, None, "stop: it may have ended well"),
    ],
)
def test_what_is_done(
    failure: str, resources: dict[str, str], changes: dict[str, str] | None, words: str
) -> None:
    decision = decide(case(Failure(failure), resources=resources), LADDER, QUEUES)
    assert words in decision.words
    assert decision.again is (changes is not None)
    assert dict(decision.changes) == (changes or {})


def test_what_has_saved_goes_on_with_the_time_that_it_had() -> None:
    saved = Status(state=State.COMPLETED, reason="time-limit", exit_code=0)
    decision = decide(case(Failure.TIME_LIMIT, status=saved, resources={"time": "60"}), Rules(), {})
    assert (decision.again, dict(decision.changes)) == (True, {})
    longer = read_values(Rules, {"time_limit": {"do": "longer", "factor": 3.0, "up_to": "2:00:00"}})
    decision = decide(case(Failure.TIME_LIMIT, status=saved, resources={"time": "60"}), longer, {})
    assert dict(decision.changes) == {"time": "2:00:00"}


def test_the_memory_of_a_default_is_known_by_accounting() -> None:
    decision = decide(case(Failure.OUT_OF_MEMORY, given_mebibytes=2000.0), Rules(), {})
    assert dict(decision.changes) == {"mem": "4000M"}


def test_an_element_is_tried_so_often_and_no_more() -> None:
    assert decide(case(Failure.PREEMPTED, tries=2), Rules(), {}).words.endswith("try 3 of 3")
    last = decide(case(Failure.PREEMPTED, tries=3), Rules(), {})
    assert (last.again, last.words) == (False, "x: preempted on node2 → stop: try 3 of 3 was the last")


def test_a_node_is_left_out_after_two() -> None:
    bad = count_bad_nodes(
        [
            (Failure.NODE_FAILURE, "node2"),
            (Failure.FILE_SYSTEM, "node2"),
            (Failure.LAUNCH_FAILURE, "node1"),
            # Neither a program nor somebody with a higher priority is a node's fault; several nodes are none.
            (Failure.PROGRAM_ERROR, "node3"),
            (Failure.PREEMPTED, "node3"),
            (Failure.NODE_FAILURE, "node[4-5]"),
            (Failure.NODE_FAILURE, None),
        ]
    )
    assert bad == {"node2": 2, "node1": 1}
    decision = decide(case(Failure.NODE_FAILURE), Rules(), {}, bad_nodes=bad)
    assert decision.exclude == ("node2",)
    assert "again, not on node2, try 2 of 3" in decision.words
    assert decide(case(Failure.PREEMPTED), Rules(), {}, bad_nodes=bad).exclude == ()


def test_what_happens_on_all_nodes_is_no_nodes_fault() -> None:
    bad = {"node1": 3, "node2": 2}
    all_nodes = decide(case(Failure.FILE_SYSTEM), Rules(), {}, bad_nodes=bad, nodes={"node1", "node2"})
    assert all_nodes.exclude == ()
    some = decide(case(Failure.FILE_SYSTEM), Rules(), {}, bad_nodes=bad, nodes={"node1", "node2", "node3"})
    assert some.exclude == ("node1", "node2")
    alone = decide(case(Failure.FILE_SYSTEM), Rules(), {}, bad_nodes={"node1": 2}, nodes={"node1"})
    assert alone.exclude == ("node1",)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{out_of_memry: stop}", "monitor.out_of_memry is not a key here (did you mean out_of_memory?)"),
        ("{preempted: {do: again, fctor: 2.0}}", "monitor.preempted.fctor is not a key here"),
        ("{preempted: wait}", "monitor.preempted.do: "),
        ("{preempted: {do: again, factor: 2.0}}", "factor and up_to are of more-memory, longer and continue"),
        (
            "{preempted: {do: stop, exclude_node_after: 1}}",
            "exclude_node_after is of what is submitted",
        ),
        ("{out_of_memory: {do: more-memory, up_to: much}}", "'much' is no size of memory"),
        ("{time_limit: {do: longer, up_to: 3 days}}", "'3 days' is no time"),
        ("{out_of_memory: {do: more-memory, factor: 0.5}}", "monitor.out_of_memory.factor: "),
        ("{out_of_memory: {do: more-memory, factor: .inf}}", "monitor.out_of_memory.factor: "),
        ("{out_of_memory: {factor: 2.0}}", "monitor.out_of_memory.do is missing"),
        ("{program_error: continue}", "program_error: continue is of what was ended before it was done"),
        ("{out_of_gpu_memory: more-memory}", "more memory of the node is none of a GPU; write next-gpu"),
        ('{gpu_ladder: ["2"]}', "monitor.gpu_ladder.0.gpus: write it as a type and a number"),
        ("{gpu_ladder: [{gpus: a100:1, part: x}]}", "monitor.gpu_ladder.0.part is not a key here"),
        ('{gpu_ladder: [{gpus: "a100:1", partition: "a b"}]}', "monitor.gpu_ladder.0.partition: "),
        ("{gpu_ladder: a100}", "monitor.gpu_ladder: write a list"),
        ("stop", "monitor: write keys with values"),
    ],
)
def test_wrong_rules_are_refused_by_name(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "hpc.yaml").write_text(f"login: {{host: h}}\npaths: {{scratch: /s}}\nmonitor: {text}\n")
    with pytest.raises(ConfigError) as caught:
        load_site([tmp_path], "hpc")
    assert message in str(caught.value)


def test_rules_are_words_or_more(tmp_path: Path) -> None:
    text = '{gpu_ladder: ["rtx:1", "a100:2"], preempted: stop, time_limit: {do: longer, factor: 3}}'
    (tmp_path / "hpc.yaml").write_text(f"login: {{host: h}}\npaths: {{scratch: /s}}\nmonitor: {text}\n")
    rules = load_site([tmp_path], "hpc").monitor
    assert [rung.gpus for rung in rules.gpu_ladder] == ["rtx:1", "a100:2"]
    assert (rules.preempted.do, rules.time_limit.times) == ("stop", 3.0)
    assert rules.node_failure.do == "again"


SITE = SlurmSite(
    name="hpc",
    login=Login(host="h"),
    paths=Paths(scratch="/s"),
    queues={
        "gpu": Queue(cost=2.0, per="gpu-hour"),
        "node": Queue(cost=5.0),
        "cpu": Queue(cost=0.5, per="cpu-hour"),
        "free": Queue(),
    },
)


def run(elapsed_s: int, **resources: object) -> Run:
    return Run(
        run_id="abcd-cpu-20260131-142530",
        site="hpc",
        profile="cpu",
        submitted=datetime(2026, 1, 31, tzinfo=timezone.utc),
        program=(),
        args=(),
        commit=None,
        dirty=False,
        image_id="",
        sif="",
        sif_sha256="",
        code="",
        resources=resources,
        profile_values={},
        site_values={},
        run_dir="/s/slipway/runs/abcd-cpu-20260131-142530",
        status=Status(state=State.RUNNING, elapsed_s=elapsed_s),
    )


def test_what_tries_cost() -> None:
    runs = [
        run(3600, gpus="a100:2", nodes=2, partition="gpu"),
        run(1800, nodes=2, partition="node"),
        run(7200, cpus=4, partition="cpu"),
        run(3600, gpus="1"),
    ]
    costs = spent([(one, None) for one in runs], SITE)
    assert costs == Spent(gpu_hours=5.0, cost=8.0 + 5.0 + 4.0)
    assert costs.reached(Budget(most_tries=3), "EUR") is None
    assert costs.reached(Budget(most_tries=3, gpu_hours=5.1, cost=17.1), "EUR") is None
    assert costs.reached(Budget(most_tries=3, gpu_hours=5), "") == "--gpu-hours 5 is spent: 5.00 GPU-hours"
    assert costs.reached(Budget(most_tries=3, cost=10), "EUR") == "--cost 10 is spent: 17.00 EUR"


def test_a_budget_of_money_needs_prices() -> None:
    budget = Budget(most_tries=3, cost=10.0)
    check_costs(budget, [run(1, partition="gpu")], SITE)
    check_costs(Budget(most_tries=3), [run(1)], SITE)
    with pytest.raises(UsageError, match=r"what partition free of hpc costs is not known; write cost for it"):
        check_costs(budget, [run(1, partition="free")], SITE)
    with pytest.raises(UsageError, match="the default partition"):
        check_costs(budget, [run(1)], SITE)


@pytest.fixture
def scratch(tmp_path: Path) -> Scratch:
    return Scratch(root=PurePosixPath(tmp_path))


# Its `run` is that of a host.
HERE = cast("Host", LocalShell())


def test_only_one_has_a_try(scratch: Scratch) -> None:
    old = "abcd-cpu-20260131-142530"
    wanted = dict.fromkeys(range(20), 1)
    ids = [f"new{number}" for number in range(4)]
    with ThreadPoolExecutor() as pool:
        had = [*pool.map(lambda new_id: make_claims(HERE, scratch, old, wanted, new_id), ids)]
    assert sorted(task for tasks in had for task in tasks if task is not None) == list(range(20))
    claims = read_claims(HERE, scratch, [old, "another"])
    assert {claims[old, task].run_id for task in had[0]} <= {"new0"}
    assert len(claims) == 20
    # Whoever comes back has what it had.
    assert make_claims(HERE, scratch, old, wanted, "new0") == had[0]


def test_what_became_of_a_claim_is_written_down(scratch: Scratch) -> None:
    old = "abcd-cpu-20260131-142530"
    assert read_claims(HERE, scratch, [old]) == {}
    assert make_claims(HERE, scratch, old, {None: 1}, "first") == [None]
    assert read_claims(HERE, scratch, [old])[old, None].is_submitted is None
    write_down(HERE, scratch, old, ["first"], is_submitted=False)
    assert read_claims(HERE, scratch, [old])[old, None].is_submitted is False
    assert make_claims(HERE, scratch, old, {None: 1}, "second") == []
    assert make_claims(HERE, scratch, old, {None: 2}, "second") == [None]
    write_down(HERE, scratch, old, ["second"], is_submitted=True)
    claim = read_claims(HERE, scratch, [old])[old, None]
    assert (claim.number, claim.run_id, claim.is_submitted) == (2, "second", True)
    # Whoever thought that it was not comes too late.
    write_down(HERE, scratch, old, ["second"], is_submitted=False)
    assert read_claims(HERE, scratch, [old])[old, None].is_submitted is True


def test_claims_as_they_are_printed() -> None:
    end = "slipway: these are all\n"
    links = "a/3-1 one 5\na/3-2 two 41\na/one.given-up given-up 4\na/x.y z\na/.. q 1\nnoise\n"
    assert parse_claims(f"now 40\n{links}{end}") == {("a", 3): Claim(number=2, run_id="two", age_s=-1)}
    assert parse_claims(end) == {}
    for cut in ("", "a/3-1 one 5\n"):
        with pytest.raises(ParseError, match="could not be read"):
            parse_claims(cut)


def test_tasks_as_ranges() -> None:
    assert ranges([3]) == "3"
    assert ranges([0, 1, 2, 5, 7, 8]) == "0-2,5,7-8"


def test_the_end_of_a_log_does_nothing_to_a_terminal() -> None:
    assert shown_end("a\n\n\x1b]0;title\x07b\rc\n") == ["a", "\\x1b]0;title\\x07b", "c"]
