"""Elements that share jobs: how they are packed, what jobs ask for, and what a sweep's file says of it."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from slipway.errors import SlipwayError
from slipway.job.bundles import Bundles
from slipway.job.record import NewerRecordError, format_run, parse_run
from slipway.job.run import Reason, Run, Status
from slipway.job.usage import given_memory_bytes
from slipway.monitor.spending import spent
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.scheduler.usage import Usage
from slipway.site import Login, Paths, Queue
from slipway.steps.session import Choice, Session
from slipway.steps.sweep_arrays import SweepRequest, array_requests, describe_jobs
from slipway.sweep.pack import pack, side_by_side
from slipway.sweep.spec import load_spec
from tests.unit.test_run import make_run

MINUTES = st.lists(st.integers(1, 100), max_size=60)


@pytest.mark.parametrize(
    ("minutes", "most", "lanes"),
    [
        ([], 60, []),
        ([10], 60, [[0]]),
        ([30, 30, 30], 60, [[0, 1], [2]]),
        # The longest first, each where the least room is left.
        ([5, 50, 20, 35, 10], 60, [[1, 4], [3, 2, 0]]),
        # One that is too long is alone.
        ([10, 90, 50], 60, [[1], [2, 0]]),
        ([60, 60, 1], 60, [[0], [1], [2]]),
        ([1] * 5, 2, [[0, 1], [2, 3], [4]]),
    ],
)
def test_lanes(minutes: list[int], most: int, lanes: list[list[int]]) -> None:
    assert pack(minutes, most) == lanes


@given(MINUTES, st.integers(1, 120), st.integers(1, 5))
def test_each_element_is_in_one_job_and_no_lane_is_too_long(
    minutes: list[int], most: int, count: int
) -> None:
    lanes = pack(minutes, most)
    assert sorted(one for lane in lanes for one in lane) == [*range(len(minutes))]
    assert all(len(lane) == 1 or sum(minutes[one] for one in lane) <= most for lane in lanes)
    # No two of them would have fitted into one.
    short = sorted(sum(minutes[one] for one in lane) for lane in lanes)
    assert len(short) < 2 or short[0] + short[1] > most
    jobs = side_by_side(lanes, minutes, count)
    assert [lane for job in jobs for lane in job] == sorted(
        lanes, key=lambda lane: -sum(minutes[one] for one in lane)
    )
    assert all(len(job) == count for job in jobs[:-1])
    assert all(1 <= len(job) <= count for job in jobs)


def test_many_are_packed_at_once() -> None:
    lanes = pack([1 + number % 7 for number in range(100_000)], 60)
    assert len(lanes) <= sum(1 + number % 7 for number in range(100_000)) / 60 * 1.02


def test_what_a_job_asks_for() -> None:
    bundles = Bundles(jobs=(((0, 1), (2,)), ((3,),)), minutes={0: 20, 1: 10, 2: 25, 3: 40})
    each = SlurmResources(array="0-3%5", time="40", cpus=2, mem="3G", gpus="a100:1", partition="gpu")
    assert bundles.ask(each) == SlurmResources(
        array="0-1%2", time="40", cpus=4, mem="6144M", gpus="a100:2", partition="gpu"
    )
    assert bundles.file() == b"0:1200,1:600 2:1500\n3:2400\n"
    assert (bundles.width, bundles.tasks, bundles.shortest_minutes) == (2, [0, 1, 2, 3], 10)
    one = Bundles(jobs=(((0, 1),), ((2,),)))
    assert one.ask(each) == each.model_copy(update={"array": "0-1%5"})
    assert one.file() == b"0:0,1:0\n2:0\n"
    assert (one.job_minutes, one.shortest_minutes) == (None, None)
    # Each of several has a processor at least, unless something else says how many a job has.
    two = Bundles(jobs=(((0,), (1,)),))
    assert two.ask(SlurmResources(array="0-1")).cpus == 2
    assert two.ask(SlurmResources(array="0-1", exclusive=True)).cpus is None
    assert two.ask(SlurmResources(array="0-1", gpus="1")) == SlurmResources(array="0-0", gpus="2")
    assert two.ask(SlurmResources(array="0-1", mem="0", cpus=1)).mem == "0"


def requests(folder: Path, text: str, site: SlurmSite | None = None, **wanted: object) -> SweepRequest:
    file = folder / "sweep.yaml"
    file.write_text(text)
    (folder / "env").mkdir(exist_ok=True)
    (folder / "env" / ".env.base").write_text("IMAGE=i\nDOCKERFILE=Dockerfile\nCODE_DIR=.\nPROGRAM=python3\n")
    profile = Session(project=Project.find(folder)).profile("base", ())
    site = site or SlurmSite(name="hpc", login=Login(host="h"), paths=Paths(scratch="/s"))
    return SweepRequest(
        choice=Choice(profile=profile, site=site),
        spec=load_spec(file),
        resources=SlurmResources(**wanted),  # type: ignore[arg-type]
    )


TIMES = "args: ['{m}']\neach: {m: [5, 50, 20, 35, 10, 90]}\nresources: {time: 1m*m, mem: 1G}\n"


def test_a_sweep_whose_short_elements_share_jobs(tmp_path: Path) -> None:
    request = requests(tmp_path, TIMES + "pack_minutes: 60\nthrottle: 4\n")
    (alone, long), (some, shared) = array_requests(request, range(6), "s", None)
    assert (alone, long.bundles, long.resources.time) == ([5], None, "90")
    assert some == [1, 4, 3, 2, 0]
    assert shared.bundles == Bundles(
        jobs=(((0, 1),), ((2, 3, 4),)), minutes={0: 50, 1: 10, 2: 35, 3: 20, 4: 5}
    )
    assert [element.args for element in shared.elements] == [("50",), ("10",), ("35",), ("20",), ("5",)]
    # What is asked for is for each of them; the job has its own.
    assert (shared.resources.time, shared.resources.array) == ("50", "0-4%2")
    job = shared.job_request.resources
    assert (job.time, job.array, job.mem) == ("60", "0-1%2", "1G")
    assert describe_jobs(request) == ["job  1 + 4", "job  3 + 2 + 0"]
    assert describe_jobs(requests(tmp_path, TIMES)) == []


def test_a_time_that_is_the_same_for_all_is_packed_too(tmp_path: Path) -> None:
    text = "args: ['{m}']\neach: {m: 1..7}\npack_minutes: 60\n"
    request = requests(tmp_path, text, time="0:20:30")
    # What is left over asks for less.
    [(numbers, one), (rest, last)] = array_requests(request, range(7), None, None)
    assert (numbers, rest) == ([0, 1, 2, 3, 4, 5], [6])
    assert one.bundles == Bundles(jobs=(((0, 1),), ((2, 3),), ((4, 5),)), minutes=dict.fromkeys(range(6), 21))
    assert (one.job_request.resources.time, last.job_request.resources.time) == ("42", "0:20:30")
    # Few tasks in an array: so many elements, however few jobs they are.
    assert [len(some) for some, _ in array_requests(request, range(7), None, 2)] == [2, 2, 2, 1]


def test_a_job_is_not_longer_than_its_partition_allows(tmp_path: Path) -> None:
    site = SlurmSite(
        name="hpc",
        login=Login(host="h"),
        paths=Paths(scratch="/s"),
        queues={"short": Queue(max_time="30"), "long": Queue(max_time="90")},
    )
    text = "args: ['{m}']\neach: {m: 1..9}\nresources: {time: '10'}\npack_minutes: 600\n"
    [(_, one)] = array_requests(requests(tmp_path, text, site, partition="short"), range(9), None, None)
    assert one.job_request.resources.time == "30"
    [(_, one)] = array_requests(requests(tmp_path, text, site, partition="short,long"), range(9), None, None)
    assert one.job_request.resources.time == "90"


def test_elements_side_by_side(tmp_path: Path) -> None:
    text = TIMES.replace("mem: 1G", "mem: 1G, gpus: 1, cpus: 2") + "per_node: 2\n"
    request = requests(tmp_path, text)
    # Those that take about as long share a job, and jobs of about the same time an array.
    assert describe_jobs(request) == ["job  5 | 1", "job  3 | 2", "job  4 | 0"]
    arrays = list(array_requests(request, range(6), None, None))
    assert [(numbers, one.job_request.resources.time) for numbers, one in arrays] == [
        ([5, 1], "90"),
        ([3, 2], "35"),
        ([4, 0], "10"),
    ]
    job = arrays[0][1].job_request.resources
    assert (job.gpus, job.cpus, job.mem, job.array) == ("2", 4, "2048M", "0-0")
    # Both: side by side, one after the other in each lane.
    both = requests(tmp_path, text + "pack_minutes: 60\n")
    assert describe_jobs(both) == ["job  5 | 1", "job  3 | 2 + 4 + 0"]
    [_, (_, one)] = array_requests(both, range(6), None, None)
    assert one.bundles == Bundles(jobs=(((0,), (1, 2, 3)),), minutes={0: 35, 1: 20, 2: 10, 3: 5})
    assert one.job_request.resources.time == "35"
    # As few side by side as may run at once.
    alone = requests(tmp_path, text + "pack_minutes: 60\nthrottle: 1\n")
    assert describe_jobs(alone) == ["job  1 + 4", "job  3 + 2 + 0"]
    # Without a time it is the cluster's default.
    text = "args: ['{m}']\neach: {m: 1..5}\nper_node: 2\n"
    [(_, one)] = array_requests(requests(tmp_path, text), range(5), None, None)
    assert one.bundles == Bundles(jobs=(((0,), (1,)), ((2,), (3,)), ((4,),)))
    assert one.job_request.resources.time is None


def test_no_array_has_more_elements_than_slurm_takes_numbers(tmp_path: Path) -> None:
    text = "args: ['{m}']\neach: {m: 1..10}\nper_node: 2\n"
    arrays = list(array_requests(requests(tmp_path, text), range(10), None, 5))
    assert [len(numbers) for numbers, _ in arrays] == [4, 4, 2]
    assert sorted(one for numbers, _ in arrays for one in numbers) == [*range(10)]


@pytest.mark.parametrize(
    ("text", "wanted", "said"),
    [
        (
            "pack_minutes: 60",
            {},
            "pack_minutes: how long elements take is not known; write resources.time in",
        ),
        (
            "pack_minutes: 60",
            {"time": "10", "nodes": 2},
            "elements share jobs of one node, and 2 nodes (--nodes)",
        ),
        (
            "pack_minutes: 60",
            {"time": "10", "continue_after_limit": 2},
            "elements that share a job do not begin again after its time limit",
        ),
        ("pack_minutes: 0", {}, "pack_minutes: write 1 or more; it is '0'"),
        ("per_node: none", {}, "per_node: "),
    ],
)
def test_what_makes_no_sense_is_refused(
    tmp_path: Path, text: str, wanted: Mapping[str, object], said: str
) -> None:
    with pytest.raises(SlipwayError) as caught:
        requests(tmp_path, f"args: ['{{m}}']\neach: {{m: 1..3}}\n{text}\n", **wanted)
    assert said in str(caught.value)


def test_more_gpus_than_a_node_has_are_refused(tmp_path: Path) -> None:
    site = SlurmSite(
        name="hpc",
        login=Login(host="h"),
        paths=Paths(scratch="/s"),
        queues={"gpu": Queue(max_gpus={"a100": 4})},
    )
    text = "args: ['{m}']\neach: {m: 1..9}\nresources: {gpus: a100:2, partition: gpu}\nper_node: "
    assert requests(tmp_path, text + "2\n", site)
    with pytest.raises(SlipwayError) as caught:
        requests(tmp_path, text + "4\n", site)
    assert "gpus a100:8 (of 4 side by side, --gpus) are not on any node of partition gpu" in str(caught.value)


def shared_run(**changes: object) -> Run:
    values = {
        "task_indices": (0, 1, 2, 3),
        "bundles": {0: ((0, 1), (2,)), 1: ((3,),)},
        "minutes": {0: 10, 1: 5, 2: 20, 3: 30},
        "resources": {"array": "0-3", "gpus": "2", "time": "30"},
    }
    run = make_run("k3f9-cpu-20260131-142530")
    return replace(run, **{**values, **changes})  # type: ignore[arg-type]


def test_a_record_has_which_tasks_share_a_job() -> None:
    run = shared_run()
    text = format_run(run)
    # An older Slipway would ask about other jobs.
    assert '"version": 3' in text
    assert parse_run(text) == run
    assert [run.array_task(task) for task in (0, 1, 2, 3, None)] == [0, 0, 0, 1, None]
    assert (run.tasks, run.array_tasks) == ((0, 1, 2, 3), (0, 1))
    assert (run.resources_of(1)["time"], run.resources_of(None)["time"]) == ("5", "30")
    with pytest.raises(ValueError, match="bundles has a value that no run has"):
        parse_run(format_run(shared_run(bundles={0: ((0, 1),)})))
    plain = replace(run, bundles={}, minutes={})
    assert '"version": 2' in format_run(plain)
    with pytest.raises(NewerRecordError):
        parse_run(text.replace('"version": 3', '"version": 4'))


def test_a_job_that_elements_share_costs_once() -> None:
    def ok(start: int, elapsed: int) -> Status:
        return Status(state=State.COMPLETED, reason=Reason.OK.value, started_s=start, elapsed_s=elapsed)

    statuses = {0: ok(1000, 1800), 1: ok(2800, 1800), 2: ok(1000, 600), 3: ok(0, 0)}
    site = SlurmSite(
        name="hpc",
        login=Login(host="h"),
        paths=Paths(scratch="/s"),
        queues={"gpu": Queue(cost=10, per="node-hour")},
    )
    run = shared_run(task_statuses=statuses, resources={"gpus": "2", "partition": "gpu", "array": "0-3"})
    cost = spent([(run, task) for task in range(4)], site)
    # An hour of one node with twice two GPUs, also where one of the lanes was over before.
    assert (cost.gpu_hours, cost.cost) == (4.0, 10.0)
    assert spent([(run, 2)], site) == cost


def test_each_had_its_part_of_the_memory_of_its_job() -> None:
    used = Usage(attempts=1, elapsed_s=9, longest_s=9, asked_memory_bytes=6000)
    assert given_memory_bytes(shared_run(usage=used), 1) == 3000
    assert given_memory_bytes(shared_run(), 1) is None
    plain = shared_run(
        bundles={}, minutes={}, usage=used, task_usages={1: replace(used, asked_memory_bytes=7)}
    )
    assert [given_memory_bytes(plain, task) for task in (None, 1, 2)] == [6000, 7, None]


def test_words_of_the_command_line() -> None:
    from slipway.cli.read import read_lanes, read_minutes

    assert (read_lanes(None), read_lanes("4")) == (None, 4)
    with pytest.raises(SlipwayError, match="--per-node 0: write how many elements run side by side"):
        read_lanes("0")
    assert (read_minutes(None), read_minutes("60")) == (None, 60)
    with pytest.raises(SlipwayError, match="--pack-minutes 1h: write how many minutes"):
        read_minutes("1h")
