"""Partitions as SLURM has them: what its programs print, what a user may use, and what is told of it."""

from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

import pytest

from slipway.errors import ParseError
from slipway.report.queue_table import limit_cells, queue_cells, queue_notes, queue_values, table_rows
from slipway.scheduler.queues import ClusterQueues, OwnLimit, QueueState
from slipway.scheduler.slurm.limits import (
    own_associations_command,
    own_limits,
    parse_own_associations,
    parse_qos_limits,
    qos_limits_command,
)
from slipway.scheduler.slurm.nodes import (
    _COLUMNS,
    PartitionRules,
    nodes_command,
    parse_gpus,
    parse_nodes,
    parse_rules,
    parse_settings,
    parse_waiting,
)
from slipway.scheduler.slurm.queues import _states, find_refusal
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.scheduler.slurm.trial import parse_now, parse_trial, trial_command
from slipway.shell import Result
from slipway.site import Login, Paths, Queue
from slipway.steps.queues import missing_entries
from slipway.text.wording import text_width

SITE = SlurmSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"), currency="EUR")


def row(*cells: str) -> str:
    return "".join(cell.ljust(width) for cell, width in zip(cells, _COLUMNS.values(), strict=True)) + "\n"


# Beside each other as Slurm 24.11 prints them: two states of one partition, a sleeping one, one that is down.
SINFO = (
    row("gpu*", "1-00:00:00", "1-4", "2", "64", "512000", "gpu:a100:4(S:0-1),lustre:1", "gpu:a100:1(IDX:0)",
        "mix", "20/108/0/128")
    + row("gpu*", "1-00:00:00", "1-4", "1", "32", "256000", "gpu:v100:2", "gpu:v100:0(IDX:N/A)",
          "idle", "0/32/0/32")
    + row("gpu*", "1-00:00:00", "1-4", "3", "64", "512000", "gpu:a100:4", "gpu:0", "drain", "0/0/192/192")
    + row("cpu", "infinite", "1-infinite", "8", "128", "1000000", "(null)", "gpu:0", "alloc", "1024/0/0/1024")
    + row("cpu", "infinite", "1-infinite", "2", "128", "1000000", "(null)", "gpu:0", "idle~", "0/256/0/256")
)  # fmt: skip
RULES = """\
PartitionName=gpu AllowGroups=ALL AllowAccounts=lab,vip AllowQos=ALL AllocNodes=ALL Default=YES QoS=gpuq \
MaxCPUsPerNode=48 MaxMemPerNode=UNLIMITED OverSubscribe=NO State=UP TRES=cpu=1,mem=1M
PartitionName=cpu AllowGroups=ALL DenyAccounts=lab AllowQos=long QoS=N/A MaxCPUsPerNode=UNLIMITED \
MaxMemPerNode=900000 OverSubscribe=EXCLUSIVE State=UP
"""


def test_nodes_are_asked_for_by_columns_that_are_wide_enough() -> None:
    command = nodes_command()
    assert command[:4] == ["sinfo", "--noheader", "--exact", "--noconvert"]
    assert command[4].startswith("--Format=Partition:80,Time:20,Size:30,Nodes:12,")


def test_partitions_add_up_their_nodes() -> None:
    gpu, cpu = _states(parse_nodes(f"Welcome!\n{SINFO}"), parse_rules(RULES), [], whole=False)
    assert gpu == QueueState(
        name="gpu",
        offer=Queue(
            max_time="1-00:00:00",
            max_nodes=4,
            max_cpus=48,
            max_mem="512000M",
            max_gpus={"a100": 4, "v100": 2},
        ),
        is_default=True,
        exclusive=False,
        nodes=6,
        idle_nodes=1,
        cpus=352,
        idle_cpus=140,
        gpus=22,
        idle_gpus=8,
        qos="gpuq",
    )
    assert (cpu.offer.max_time, cpu.offer.max_nodes, cpu.offer.max_gpus) == (None, None, {})
    assert (cpu.offer.max_mem, cpu.offer.max_cpus, cpu.exclusive) == ("900000M", 128, True)
    assert (cpu.idle_nodes, cpu.nodes, cpu.idle_cpus, cpu.gpus) == (2, 10, 256, 0)


def test_gpus_of_all_forms() -> None:
    assert parse_gpus("gpu:a100:4(S:0,1),gpu:v100:2,lustre:1") == {"a100": 4, "v100": 2}
    assert parse_gpus("gpu:2(IDX:0,1)") == {"gpu": 2}
    assert parse_gpus("gpu:nvidia_a100_3g.20gb:2") == {"nvidia_a100_3g.20gb": 2}
    assert parse_gpus("(null)") == parse_gpus("") == parse_gpus("gpu:a100:0(IDX:N/A)") == {}


@pytest.mark.parametrize(
    ("parse", "text"),
    [
        (parse_nodes, "slurm_load_partitions: Unable to contact slurm controller"),
        (parse_rules, "slurm_load_partitions error: Unable to contact slurm controller"),
        (parse_own_associations, "Your account is locked"),
        (parse_qos_limits, "Your account is locked"),
        (parse_now, "Welcome"),
    ],
)
def test_other_words_are_refused(parse: Any, text: str) -> None:
    with pytest.raises(ParseError):
        parse(text)


def test_waiting_jobs_count_for_each_partition_that_they_name() -> None:
    text = "a notice\n     12 slipway|gpu\n      3 slipway|gpu,cpu\n"
    assert parse_waiting(text) == [(["gpu"], 12), (["gpu", "cpu"], 3)]
    assert parse_waiting("      1 \n") == []


def test_settings() -> None:
    text = "SelectType              = select/linear\nPrivateData             = jobs,usage\n"
    assert parse_settings(text) == {"SelectType": "select/linear", "PrivateData": "jobs,usage"}


ASSOCIATIONS = """\
lab||normal,long|normal|4|10|1-00:00:00|cpu=64|gres/gpu=8
other|cpu|normal||||||
"""
QOS = """\
normal||||||
long|2|4|7-00:00:00|node=2|cpu=100|
other|1|||||
gpuq|||2-00:00:00||gres/gpu=4|gres/gpu=32
free||||||
"""


def test_limits_of_accounts_and_of_their_qos() -> None:
    mine, qos = parse_own_associations(ASSOCIATIONS), parse_qos_limits(QOS)
    assert [(one.account, one.partition, one.qos) for one in mine] == [
        ("lab", None, ("normal", "long")),
        ("other", "cpu", ("normal",)),
    ]
    # `other` is no QOS of theirs, and the others allow everything.
    assert own_limits(mine, qos, ["gpuq"]) == [
        OwnLimit(
            kind="account",
            name="lab",
            jobs=4,
            submitted=10,
            time="1-00:00:00",
            resources={"job": "cpu=64", "all": "gres/gpu=8"},
        ),
        OwnLimit(
            kind="qos",
            name="long",
            jobs=2,
            submitted=4,
            time="7-00:00:00",
            resources={"job": "node=2", "user": "cpu=100"},
        ),
        OwnLimit(
            kind="qos", name="gpuq", time="2-00:00:00", resources={"user": "gres/gpu=4", "all": "gres/gpu=32"}
        ),
    ]
    assert own_associations_command()[2].endswith(
        "format=Account,Partition,QOS,DefaultQOS,MaxJobs,MaxSubmit,MaxWall,MaxTRES,GrpTRES"
    )
    assert qos_limits_command()[-1] == "format=Name,MaxJobsPU,MaxSubmitPU,MaxWall,MaxTRES,MaxTRESPU,GrpTRES"


@pytest.mark.parametrize(
    ("rules", "why"),
    [
        (PartitionRules(), None),
        (PartitionRules(is_up=False), "it is not up"),
        (PartitionRules(accounts=frozenset({"vip"})), "only for accounts vip"),
        (PartitionRules(accounts=frozenset({"vip", "lab"})), None),
        (PartitionRules(denied_accounts=frozenset({"lab"})), None),
        (PartitionRules(denied_accounts=frozenset({"lab", "other", "z"})), "not for accounts lab, other"),
        (PartitionRules(allowed_qos=frozenset({"debug"})), "only with qos debug"),
        (PartitionRules(allowed_qos=frozenset({"long"})), None),
        (PartitionRules(denied_qos=frozenset({"long", "normal"})), "not with qos long, normal"),
    ],
)
def test_who_may_use_a_partition(rules: PartitionRules, why: str | None) -> None:
    assert find_refusal("cpu", rules, parse_own_associations(ASSOCIATIONS)) == why
    # Where accounting cannot be asked, nobody knows.
    assert find_refusal("cpu", rules, []) == (None if rules.is_up else why)


def test_an_account_of_one_partition_serves_no_other() -> None:
    mine = parse_own_associations("other|cpu|normal||||||\n")
    assert find_refusal("gpu", PartitionRules(), mine) == "none of your accounts is for it"
    assert find_refusal("cpu", PartitionRules(), mine) is None


NOW = (1_000_000, datetime(2026, 1, 31, 10, 0, tzinfo=timezone.utc))


def answer(code: int, stderr: str) -> Result:
    return Result(argv=("sbatch",), exit_code=code, stdout="", stderr=stderr)


@pytest.mark.parametrize(
    ("code", "stderr", "in_s", "refusal"),
    [
        (0, "sbatch: Job 7 to start at 1000090 using 2 processors on nodes n1 in partition p", 90, None),
        (0, "sbatch: Job 7 to start at 999998 using 2 processors on nodes n1 in partition p", 0, None),
        (0, "hello\nsbatch: Job 7 to start at 2026-01-31T10:02:00 using 1 processors on", 120, None),
        (0, "sbatch: Job 7 to start at Unknown", None, "sbatch did not say when it would begin"),
        (0, "", None, "sbatch did not say when it would begin"),
        (
            1,
            "allocation failure: Requested node configuration is not available",
            None,
            "allocation failure: Requested node configuration is not available",
        ),
        (1, "sbatch: error: Invalid qos specification", None, "Invalid qos specification"),
    ],
)
def test_when_a_job_would_begin(code: int, stderr: str, in_s: int | None, refusal: str | None) -> None:
    start = parse_trial(answer(code, stderr), *NOW)
    assert (start.in_s, start.refusal) == (in_s, refusal)


def test_the_clusters_clock() -> None:
    assert parse_now("a word\nslipway|1000000|2026-01-31T10:00:00\n") == NOW


def test_a_trial_asks_for_what_the_job_asks_for() -> None:
    command = trial_command(SlurmResources(time="10", gpus="a100:2", partition="gpu", account="lab"), SITE)
    assert command[:2] == ["sbatch", "--test-only"]
    assert {"--time=10", "--gres=gpu:a100:2", "--partition=gpu", "--account=lab"} < {*command}
    assert command[-1] == "--wrap=:"


GPU = QueueState(
    name="gpu",
    offer=Queue(max_time="1-00:00:00", max_nodes=4, max_cpus=64, max_mem="512000M", max_gpus={"a100": 4}),
    is_default=True,
    exclusive=False,
    nodes=6,
    idle_nodes=1,
    cpus=352,
    idle_cpus=140,
    gpus=24,
    idle_gpus=8,
    waiting=1234,
)
VIP = QueueState(name="vip", offer=Queue(), exclusive=True, refused="only for accounts vip")
THERE = ClusterQueues(
    queues=[GPU, VIP],
    limits=[OwnLimit(kind="qos", name="long", jobs=2, resources={"user": "cpu=100,gres/gpu=4"})],
    accounts={"lab": ("normal", "long")},
)


def site(**queues: Queue) -> SlurmSite:
    return SITE.model_copy(update={"queues": queues})


def test_what_the_file_says_goes_before_what_the_scheduler_says() -> None:
    values = queue_values(site(gpu=Queue(max_time="2:00:00", cost=1.5, note="A100"), old=Queue()), THERE)
    gpu, vip = values["queues"]
    assert (gpu["max_time"], gpu["max_nodes"], gpu["cost"], gpu["per"]) == ("2:00:00", 4, 1.5, "node-hour")
    assert (gpu["listed"], vip["listed"], vip["usable"], gpu["max_mem_mib"]) == (True, False, False, 512000)
    assert values["notes"] == [
        "queues.gpu.max_time in cluster/hpc.yaml is 2:00:00; the scheduler says 1-00:00:00",
        "queues.old in cluster/hpc.yaml: there is no such partition for you",
    ]
    # Another way to write the same.
    same = queue_values(site(gpu=Queue(max_time="24:00:00", max_mem="500G")), THERE)
    assert same["notes"] == []


@pytest.mark.parametrize("width", [None, 80, 60])
def test_tables_fit_the_terminal(width: int | None) -> None:
    values = queue_values(site(gpu=Queue(cost=1.5, note="A100 nodes of the old kind, for tests")), THERE)
    widths, lines = table_rows(queue_cells(values), width)
    assert lines[0] == ["PARTITION", "NODES", "CPUS", "GPUS", "WAIT", "A JOB", "A NODE", "COST"]
    assert lines[1][:5] == ["gpu*", "1/6", "140/352", "8/24", "1,234"]
    second = next(place for place, line in enumerate(lines) if line[0] == "! vip")
    gpu, vip = (
        [" ".join(filter(None, cells)) for cells in zip(*some, strict=True)]
        for some in (lines[1:second], lines[second:])
    )
    assert gpu[5:8] == ["1-00:00:00 4 nodes", "64 cpus 500 GiB a100:4", "1.5 EUR a node-hour"]
    assert vip == ["! vip", "-", "-", "-", "?", "any time whole nodes", "", ""]
    assert queue_notes(values) == [
        "! vip: only for accounts vip",
        "gpu: A100 nodes of the old kind, for tests",
    ]
    for line in lines:
        assert all(text_width(cell) <= wide for cell, wide in zip(line, widths, strict=True))
    if width == 80:
        assert sum(widths) + 2 * (len(widths) - 1) <= 80


def test_long_names_give_way_last() -> None:
    long = ClusterQueues(queues=[replace(GPU, name="a-partition-with-a-long-name")])
    widths, lines = table_rows(queue_cells(queue_values(site(), long)), 62)
    assert lines[1][0] == "a-partition…"
    assert sum(widths) + 2 * (len(widths) - 1) <= 64


def test_limits_are_a_table_of_their_own() -> None:
    _, lines = table_rows(limit_cells(queue_values(SITE, THERE)), None)
    assert lines == [
        ["YOUR LIMITS", "RUNNING", "IN ALL", "TIME", "RESOURCES"],
        ["qos long", "2", "", "", "user cpu=100 gres/gpu=4"],
    ]


def test_a_file_lacks_only_what_nobody_wrote() -> None:
    written = {"gpu": Queue(max_time="2:00:00", cost=1.5, max_gpus={})}
    assert missing_entries(written, THERE.queues) == {
        "gpu": {"max_nodes": 4, "max_cpus": 64, "max_mem": "512000M"},
        "vip": {},
    }
