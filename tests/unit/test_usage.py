"""What runs used: as values, in words, and what would have been enough."""

import json
from dataclasses import replace
from typing import Any

import pytest

from slipway.job.record import format_run, parse_run
from slipway.job.run import Run, Status
from slipway.report.advice import size_words
from slipway.report.usage import advice, usage_values, usage_words
from slipway.report.values import run_values
from slipway.scheduler.base import State
from slipway.scheduler.usage import GpuUse, Usage, add_up
from tests.unit.test_run import make_run

GB = 1 << 30
# 1 h 10 min on 4 cores, of which 1.1 were busy, with 9 of 64 GB.
USED = Usage(
    elapsed_s=4200,
    longest_s=4200,
    limit_s=86400,
    nodes=1,
    cpus=4,
    cpu_s=4620.0,
    core_s=16800.0,
    peak_memory_bytes=9 * GB,
    asked_memory_bytes=64 * GB,
    gpus=0,
)


def ended(usage: Usage | None, reason: str = "ok", **changes: Any) -> Run:
    status = Status(state=State.COMPLETED, reason=reason, elapsed_s=4200)
    return replace(make_run("k3f9"), status=status, usage=usage, **changes)


def test_values_are_what_seff_would_say() -> None:
    values = usage_values(ended(USED))
    assert values == {
        "attempts": 1,
        "elapsed_s": 4200,
        "longest_s": 4200,
        "limit_s": 86400,
        "time_percent": 4.9,
        "nodes": 1,
        "cpus": 4,
        "cpu_s": 4620.0,
        "cores_used": 1.1,
        "cpu_percent": 27.5,
        "peak_memory_bytes": 9 * GB,
        "asked_memory_bytes": 64 * GB,
        "memory_percent": 14.1,
        "gpus": 0,
        "gpu_use": [],
        "energy_j": None,
        "advice": [
            "asked 64 GB, used 9 GB: --mem 12G would do",
            "asked 4 cores, 1.1 used on average: --cpus 2 would do",
            "limit 24:00:00, took 1:10:00: --time 1:45:00 would do",
        ],
        "tasks": [],
    }
    assert run_values(ended(USED))["usage"] == values
    assert run_values(ended(None))["usage"] is None


def test_words_for_a_person() -> None:
    gpu = GpuUse(gpu=0, samples=9, mean_utilization_percent=61.7, peak_memory_mb=11500, mean_power_w=214)
    usage = replace(USED, attempts=2, gpus=1, gpu_use=(gpu,), energy_j=1_800_000)
    assert usage_words(ended(usage)) == [
        ("time", "1:10:00 of 24:00:00 (5 %) in 2 attempts"),
        ("cores", "1.1 of 4 (28 %)"),
        ("memory", "9 GB of 64 GB (14 %)"),
        ("GPUs", "1"),
        ("GPU 0", "62 % used on average, at most 11.2 GB, 214 W"),
        ("energy", "0.50 kWh"),
    ]


def test_without_accounting_there_is_what_was_asked_for() -> None:
    run = ended(None, resources={"time": "2:00:00", "cpus": 4, "mem": "16G", "gpus": "a100:2", "nodes": 2})
    assert usage_words(run) == [
        ("time", "1:10:00 of 2:00:00 (58 %)"),
        ("cores", "not known, of 8"),
        ("memory", "not known, of 16 GB"),
        ("GPUs", "4"),
    ]
    assert advice(run) == []
    assert usage_words(ended(None))[1:] == [("cores", "not known"), ("memory", "not known")]


@pytest.mark.parametrize(
    "run",
    [
        ended(USED, reason="program-error"),
        ended(USED, reason="time-limit"),
        ended(USED, reason="cancelled"),
        ended(replace(USED, longest_s=119)),
        ended(Usage(longest_s=4200)),
        # All of these were used well enough, or there is little to save.
        ended(replace(USED, cpu_s=9000.0, peak_memory_bytes=33 * GB, limit_s=8000)),
        ended(replace(USED, cpus=1, core_s=4200.0, cpu_s=100.0, asked_memory_bytes=GB, limit_s=5999)),
    ],
)
def test_no_advice_where_there_is_nothing_to_say(run: Run) -> None:
    assert advice(run) == []


def test_advice_for_several_nodes_is_for_each() -> None:
    usage = replace(USED, nodes=2, cpus=16, core_s=67200.0, cpu_s=8400.0)
    assert "asked 16 cores, 2.0 used on average: --cpus 2 a node would do" in advice(ended(usage))


def test_of_an_array_the_busiest_task_decides() -> None:
    idle, busy = replace(USED, cpu_s=100.0), replace(USED, cpu_s=15000.0)
    tasks = {0: idle, 1: busy}
    run = ended(add_up([*tasks.values()]), task_usages=tasks)
    assert not [line for line in advice(run) if "cores" in line]
    values = usage_values(run)
    assert (values["attempts"], values["elapsed_s"], values["longest_s"]) == (2, 8400, 4200)
    assert (values["cpus"], values["cpu_percent"], values["cores_used"]) == (4, 44.9, 1.8)
    assert [(task["index"], task["cpu_percent"]) for task in values["tasks"]] == [(0, 0.6), (1, 89.3)]


def test_idle_gpus_are_named() -> None:
    used = GpuUse(gpu=0, samples=9, mean_utilization_percent=80, peak_memory_mb=100)
    idle = replace(used, gpu=1, mean_utilization_percent=0.4)
    one = replace(USED, gpus=2, gpu_use=(used, idle))
    assert "asked 2 GPUs, used 1: --gpus 1 would do" in advice(ended(one))
    none = replace(USED, gpus=1, gpu_use=(idle,))
    assert "asked 1 GPU, at most 0 % used on average: does the program use it?" in advice(ended(none))


def test_samples_of_one_gpu_weigh_by_their_number() -> None:
    long = GpuUse(gpu=0, samples=30, mean_utilization_percent=80, peak_memory_mb=100, mean_power_w=200)
    short = GpuUse(gpu=0, samples=10, mean_utilization_percent=40, peak_memory_mb=300, mean_power_w=100)
    assert add_up([replace(USED, gpu_use=(long,)), replace(USED, gpu_use=(short,))]).gpu_use == (
        GpuUse(gpu=0, samples=40, mean_utilization_percent=70, peak_memory_mb=300, mean_power_w=175),
    )


def test_what_nobody_knows_stays_unknown_in_a_sum() -> None:
    assert add_up([Usage(), Usage()]) == Usage(attempts=2)
    assert add_up([Usage(energy_j=3), Usage()]).energy_j == 3


def test_usage_is_in_the_record() -> None:
    gpu = GpuUse(gpu=0, samples=9, mean_utilization_percent=61.7, peak_memory_mb=11500)
    task = replace(USED, gpu_use=(gpu,))
    run = ended(task, task_usages={3: task}, usage_tries=2, usage_asked_s=1_700_000_000)
    assert parse_run(format_run(run)) == run


@pytest.mark.parametrize(
    "change", [{"elapsed_s": -1}, {"cpu_s": 1e300}, {"peak_memory_bytes": 1e300}, {"gpu_use": [{"gpu": 0}]}]
)
def test_a_record_with_usage_that_nobody_can_have_is_refused(change: dict[str, Any]) -> None:
    values = json.loads(format_run(ended(USED)))
    with pytest.raises(ValueError, match="usage"):
        parse_run(json.dumps({**values, "usage": {**values["usage"], **change}}))


def test_sizes_are_slurms() -> None:
    assert [size_words(size) for size in (0, 221_642_752, 9 * GB, 9.25 * GB)] == [
        "0 MB",
        "211 MB",
        "9 GB",
        "9.2 GB",
    ]
