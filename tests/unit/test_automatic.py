"""`--partition auto`: which partitions would take a job, which of them is taken, and what is said of it."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

import pytest

from slipway.errors import JobError, UsageError
from slipway.job.request import check_prefer
from slipway.model import read_values
from slipway.progress import NullProgress
from slipway.scheduler import automatic
from slipway.scheduler.automatic import (
    Candidate,
    explain,
    find_cost,
    find_fitting,
    order,
    settle_partition,
    without_auto,
)
from slipway.scheduler.limits import ResourceRequest, check_partition
from slipway.scheduler.queues import ClusterQueues, QueueState, Start
from slipway.scheduler.slurm.commands import node_command
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.scheduler import Slurm
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths, Queue

SITE = SlurmSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"), currency="EUR")
THERE = [
    QueueState(name="long", offer=Queue(max_time="7-00:00:00", max_cpus=64, max_gpus={})),
    QueueState(name="gpu", offer=Queue(max_time="1-00:00:00", max_cpus=64, max_gpus={"a100": 4})),
    QueueState(
        name="debug", offer=Queue(max_time="0:30:00", max_cpus=64, max_gpus={"a100": 1}), is_default=True
    ),
    QueueState(name="vip", offer=Queue(), refused="only for accounts vip"),
]


def request(**wanted: Any) -> ResourceRequest:
    resources = read_values(SlurmResources, {"partition": "auto", **wanted})
    return ResourceRequest(resources=resources, origins={"partition": "--partition", "time": "--time"})


def site(**queues: Queue) -> SlurmSite:
    return SITE.model_copy(update={"queues": queues})


def test_without_a_list_all_partitions_serve_the_default_first() -> None:
    fits, problems = find_fitting(request(), SITE, THERE)
    assert [*fits] == ["debug", "long", "gpu"]
    assert problems == {"vip": "only for accounts vip"}


def test_the_files_list_is_the_choice_and_its_limits_count_as_well() -> None:
    listed = site(
        gpu=Queue(max_time="2:00:00", cost=2.0), debug=Queue(auto=False), long=Queue(), gone=Queue()
    )
    fits, problems = find_fitting(request(time="4:00:00"), listed, THERE)
    assert [*fits] == ["long"]
    assert problems == {
        "gpu": "time 4:00:00 (--time) is longer than the 2:00:00 that it allows "
        "(queues.gpu in cluster/hpc.yaml)",
        "gone": "there is no such partition for you",
    }
    assert find_fitting(request(time="1:00:00"), listed, THERE)[0]["gpu"] == Queue(
        max_time="2:00:00", max_cpus=64, max_gpus={"a100": 4}, cost=2.0
    )


def test_gpus_count_unless_the_partition_gives_them_by_itself() -> None:
    wanted = request(gpus="a100:2")
    assert [*find_fitting(wanted, SITE, THERE)[0]] == ["gpu"]
    assert "gpus a100:2 are not on any node of it" in find_fitting(wanted, SITE, THERE)[1]["debug"]
    by_itself = SITE.model_copy(update={"gpu_request": "none"})
    assert [*find_fitting(wanted, by_itself, THERE)[0]] == ["debug", "long", "gpu"]


@pytest.mark.parametrize(
    ("per", "wanted", "cost"),
    [
        ("node-hour", {"time": "2:00:00"}, 3.0),
        ("node-hour", {"time": "90", "nodes": 2}, 4.5),
        ("node-hour", {}, 1.5),
        ("node-hour", {"time": "0"}, 1.5),
        ("gpu-hour", {"time": "60", "nodes": 2, "gpus": "a100:4"}, 12.0),
        ("gpu-hour", {"time": "60"}, 0.0),
        ("cpu-hour", {"time": "60", "cpus": 8}, 12.0),
        ("cpu-hour", {"time": "60", "cpus": 8, "exclusive": True}, 96.0),
    ],
)
def test_costs(per: Any, wanted: dict[str, Any], cost: float) -> None:
    queue = Queue(cost=1.5, per=per, max_cpus=64)
    assert find_cost(request(**wanted).resources, queue) == pytest.approx(cost)
    assert find_cost(request(**wanted).resources, Queue()) is None


def test_where_a_job_has_whole_nodes_it_pays_for_all_of_their_cores() -> None:
    queue = Queue(cost=1.5, per="cpu-hour", max_cpus=64)
    wanted = request(cpus=4, time="1:00:00").resources
    assert find_cost(wanted, queue) == pytest.approx(6.0)
    assert find_cost(wanted, queue, whole=True) == pytest.approx(96.0)


@pytest.mark.parametrize(
    ("wanted", "there", "gpus"),
    [
        ({"gpus": "a100:1"}, {"a100": 4, "v100": 8}, 4),
        ({"gpus": "1"}, {"a100": 4, "v100": 8}, 8),
        ({"gpus": "1"}, {"gpu": 4}, 4),
        ({}, {"a100": 4}, 4),
        ({"gpus": "2"}, None, 2),
        ({}, None, 0),
    ],
)
def test_where_a_job_has_whole_nodes_it_pays_for_all_of_their_gpus(
    wanted: dict[str, Any], there: dict[str, int] | None, gpus: int
) -> None:
    queue = Queue(cost=1.5, per="gpu-hour", max_gpus=there)
    shared = request(time="60", nodes=2, **wanted).resources
    exclusive = request(time="60", nodes=2, exclusive=True, **wanted).resources
    assert find_cost(shared, queue) == pytest.approx(1.5 * 2 * shared.gpu_count)
    assert find_cost(shared, queue, whole=True) == pytest.approx(1.5 * 2 * gpus)
    assert find_cost(exclusive, queue) == pytest.approx(1.5 * 2 * gpus)


A = Candidate(name="a", in_s=30, cost=2.0)
B = Candidate(name="b", in_s=0, cost=None)
C = Candidate(name="c", in_s=7200, cost=1.0)
D = Candidate(name="d", in_s=600, cost=1.0)


def test_the_earliest_or_the_cheapest_is_first() -> None:
    assert order([A, B, C, D], "start", SITE) == [A, B, D, C]
    # Of equals by cost, the one that begins first.
    assert order([A, B, C, D], "cost", SITE) == [D, C, A, B]
    with pytest.raises(JobError, match="no cost is known for b; write"):
        order([B], "cost", SITE)


def test_why_is_said_in_two_lines() -> None:
    first, second = explain(A, [B, C], {"vip": "only for accounts vip"}, "start", SITE)
    assert first.startswith("Partition a of hpc begins first: now, 2.00 EUR; b now; c at ")
    assert second == "Not vip: only for accounts vip"
    assert explain(C, [], {}, "cost", SITE)[0].startswith("Partition c of hpc costs least: at ")
    many = [Candidate(name=f"n{number}", in_s=0) for number in range(7)]
    assert explain(B, many, {}, "start", SITE)[0].endswith("n3 now; and 3 more")


class Told(NullProgress):
    def __init__(self) -> None:
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)


@pytest.fixture
def starts(monkeypatch: pytest.MonkeyPatch) -> dict[str, Start]:
    """What `sbatch --test-only` would say: a stand-in, for answers that the box gives only by chance."""
    said: dict[str, Start] = {}

    class Scheduler(Slurm):
        def queues(self, host: Any) -> ClusterQueues:
            return ClusterQueues(queues=THERE)

        def find_starts(self, host: Any, wanted: Sequence[Any], site: Any) -> list[Start]:
            return [said[resources.partition] for resources in wanted]

    monkeypatch.setattr(automatic, "find_scheduler", lambda name: Scheduler())
    return said


def settle(wanted: ResourceRequest, at: SlurmSite = SITE, prefer: Any = "start") -> tuple[Any, list[str]]:
    told = Told()
    host: Any = None
    return settle_partition(host, wanted, at, prefer, told), told.notes


def test_the_record_has_the_partition_and_how_it_was_chosen(starts: dict[str, Start]) -> None:
    starts |= {"debug": Start(in_s=400), "long": Start(in_s=10), "gpu": Start(refusal="Invalid qos")}
    found, notes = settle(request(time="20"))
    assert found.resources.partition == "long"
    assert found.origins == {"partition": "--partition: auto, the earliest start of 2", "time": "--time"}
    assert notes[1] == "Not vip: only for accounts vip; gpu: Invalid qos"


def test_where_none_takes_it_each_says_why(starts: dict[str, Start]) -> None:
    starts |= {"long": Start(refusal="Invalid account")}
    with pytest.raises(JobError) as caught:
        settle(request(time="2-00:00:00"))
    first, *lines = str(caught.value).splitlines()
    assert first.startswith("--partition auto: no partition of hpc takes this job. Ask for less, or name one")
    assert lines == [
        "  debug: time 2-00:00:00 (--time) is longer than the 0:30:00 that it allows (slurm)",
        "  gpu: time 2-00:00:00 (--time) is longer than the 1-00:00:00 that it allows (slurm)",
        "  vip: only for accounts vip",
        "  long: Invalid account",
    ]


def test_another_partition_is_left_alone() -> None:
    named = request(partition="gpu")
    assert settle(named) == (named, [])
    assert without_auto(named) is named
    assert without_auto(request()).resources.partition is None


def test_the_files_limits_refuse_before_the_login() -> None:
    with pytest.raises(JobError, match=r"takes this job(.|\n)*  gpu: time 4:00:00"):
        check_partition(request(time="4:00:00"), site(gpu=Queue(max_time="1:00:00")))
    check_partition(request(time="4:00:00"), site(gpu=Queue(max_time="1:00:00"), long=Queue()))
    with pytest.raises(JobError, match="takes this job"):
        check_partition(request(), site(gpu=Queue(auto=False)))


def test_a_preference_needs_a_choice() -> None:
    check_prefer("cost", request())
    with pytest.raises(UsageError, match="--prefer fast: write one of start, cost"):
        check_prefer("fast", request())
    with pytest.raises(UsageError, match="says how --partition auto chooses"):
        check_prefer("cost", request(partition="gpu"))


def test_a_step_of_slipways_own_goes_to_the_default() -> None:
    auto = SlurmResources(partition="auto", time="10")
    argv = Slurm().run_on_node("x", auto, ["true"])
    assert argv[4:] == node_command("x", SlurmResources(time="10"), ["true"])
    options = Slurm().directives(name="x", log=PurePosixPath("/l"), resources=auto, site=SITE)
    assert not any(option.startswith("--partition") for option in options)
