"""What runs used, by the accounting of a real SLURM."""

import time

import pytest

from slipway.job.run import Run
from slipway.model import read_values
from slipway.report.usage import usage_values, usage_words
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.refresh import refresh
from tests.integration.small_image import SmallImageBox, fakes
from tests.waiting import wait_until

MB = 1 << 20
# 150 MB are held for 1 s of CPU time, and 3 s at least: SLURM of the box looks at memory each second.
HELD = "$x, 150 << 20; $end = time + 3; 1 while (times)[0] < 1 or time < $end"
BUSY = f"exec perl -e 'read STDIN, {HELD}' </dev/zero"


def submit(small: SmallImageBox, script: str, **wanted: object) -> Run:
    resources = read_values(SlurmResources, {"mem": "500M", "time": "10", **wanted})
    with small.connect() as host:
        return small.submit(host, "sh", "-c", script, wanted=resources)


def used(small: SmallImageBox, *runs: Run) -> list[Run]:
    """The runs once they are over, and what they used is known."""
    left = [*runs]
    with small.connect() as host:

        def is_known() -> bool:
            left[:] = refresh(small.session, host, left)
            return all(run.usage for run in left)

        wait_until(is_known, lambda: "\n".join(map(small.situation, left)), pause_s=0.5)
    return left


def test_what_a_job_an_array_and_several_nodes_used(small: SmallImageBox) -> None:
    tasks = BUSY.replace("150", "(50 + 100 * $ENV{SLURM_ARRAY_TASK_ID})")
    one, array, nodes = used(
        small,
        submit(small, BUSY, cpus=2),
        submit(small, tasks, array="0-1"),
        submit(small, BUSY, nodes=2, gpus="a100:1"),
    )
    values = usage_values(one)
    assert (values["cpus"], values["limit_s"], values["asked_memory_bytes"]) == (2, 600, 500 * MB)
    assert 1 <= values["cpu_s"] < 2 * values["elapsed_s"]
    assert 150 * MB < values["peak_memory_bytes"] < 300 * MB
    assert [label for label, _ in usage_words(one)] == ["time", "cores", "memory"]
    assert values["advice"] == []  # it was too short to say
    small_task, large_task = (array.task_usages[task].peak_memory_bytes or 0 for task in (0, 1))
    assert small_task + 50 * MB < large_task == usage_values(array)["peak_memory_bytes"]
    values = usage_values(nodes)
    assert (values["nodes"], values["cpus"], values["gpus"]) == (2, 2, 2)
    # Of one node, as what was asked for is.
    assert values["asked_memory_bytes"] == 500 * MB
    assert 150 * MB < values["peak_memory_bytes"] < 300 * MB


@pytest.mark.long
def test_all_attempts_are_counted(small: SmallImageBox) -> None:
    run = submit(small, f"[ $SLIPWAY_ATTEMPT -gt 1 ] || sleep 600; {BUSY}")
    wait_until(lambda: small.is_so(f"test -e {run.run_dir}/attempt-1"), lambda: small.situation(run))
    time.sleep(1)  # so that it has a time of its own
    small.as_root("scontrol", "requeue", str(run.job_id))
    small.begin_again(run)
    (run,) = used(small, run)
    assert run.usage is not None
    assert run.usage.attempts >= 2
    assert run.usage.elapsed_s > run.usage.longest_s >= 2


@pytest.mark.long
def test_accounting_that_is_away_is_asked_another_time(small: SmallImageBox) -> None:
    run = submit(small, "sleep 2")
    with fakes(small) as fake:
        fake("sacct", "echo 'sacct: error: Slurm accounting storage is disabled' >&2; exit 1")
        run = small.wait_for(run)
    assert (run.usage, run.usage_tries, run.status.reason) == (None, 1, "ok")
    assert usage_words(run)[1:] == [
        ("cores", "not known, of 1"),
        ("memory", "not known, of 500 MB"),
    ]
    (run,) = used(small, run)
    assert run.usage_tries == 1
