"""Elements that share jobs, on the box with a real SLURM: one after the other, and side by side."""

import json
from collections.abc import Sequence

import pytest

from slipway.job.run import Run
from slipway.monitor.spending import Budget
from slipway.report.sweep_table import ElementState, element_states
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.box import box_up
from slipway.steps.cancel import cancel
from slipway.steps.find import find_sweep
from slipway.steps.session import Choice
from slipway.steps.submit import Push
from slipway.steps.sweep import sweep_submitted
from slipway.steps.sweep_arrays import SweepRequest
from slipway.sweep.record import Sweep
from slipway.sweep.spec import SweepSpec
from tests.integration.monitor_program import monitor
from tests.integration.small_image import SmallImageBox
from tests.integration.test_monitor import Sweeps, of
from tests.waiting import wait_until


def submit(
    small: SmallImageBox, program: str, count: int, wanted: SlurmResources | None = None, **shared: int
) -> tuple[Sweep, Run]:
    """A sweep of so many elements, whose number is the program's ``$1``, as one array."""
    profile = small.choice.profile.model_copy(update={"program": ("sh", "-c", program, "sh")})
    # The box has partitions that the site's file does not list.
    site = small.choice.site.model_copy(update={"queues": {}})
    spec = SweepSpec(args=("{n}",), each={"n": tuple(map(str, range(count)))}, **shared)
    resources = (wanted or SlurmResources()).over(SlurmResources(cpus=1, mem="100M", time="10"))
    request = SweepRequest(
        choice=Choice(profile=profile, site=site), spec=spec, resources=resources, again=True
    )
    with sweep_submitted(small.session, request, Push.NEVER) as done:
        [run] = done.runs
        return done.sweep, run


def states(small: SmallImageBox, sweep: Sweep, run: Run) -> list[ElementState]:
    """How its elements stand once its run is over."""
    return element_states(sweep, {run.run_id: small.wait_for(run)})


def words(found: Sequence[ElementState]) -> list[str]:
    return [state.word for state in found]


def has(small: SmallImageBox, run: Run, path: str) -> bool:
    return small.is_so(f"[ -e {run.run_dir}/{path} ]")


def test_short_elements_share_jobs_and_one_that_fails_fails_alone(small: SmallImageBox) -> None:
    program = 'echo "element $1, task $SLURM_ARRAY_TASK_ID"; echo $1 >/out/n; [ "$1" != 1 ]'
    sweep, run = submit(small, program, 6, pack_minutes=30)
    assert run.bundles == {0: ((0, 1, 2),), 1: ((3, 4, 5),)}
    shown = small.as_root("scontrol", "show", "job", str(run.job_id))
    assert "TimeLimit=00:30:00" in shown
    found = states(small, sweep, run)
    assert words(found) == ["COMPLETED ok", "FAILED program-error", *["COMPLETED ok"] * 4]
    assert found[1].status is not None
    assert found[1].status.exit_code == 1
    for task in range(6):
        here = f"{run.run_dir}/task-{task}/attempt-1"
        assert small.on_box(f"cat {here}/log {here}/out/n") == f"element {task}, task {task}\n{task}\n"
    # Those of one job ran in it, one after the other.
    results = [
        json.loads(small.on_box(f"cat {run.run_dir}/task-{task}/attempt-1/result.json")) for task in range(6)
    ]
    assert len({one["job_id"] for one in results[:3]}) == len({one["job_id"] for one in results[3:]}) == 1
    assert results[0]["job_id"] != results[3]["job_id"]
    assert results[0]["end"] <= results[1]["start"] <= results[1]["end"] <= results[2]["start"]
    record = json.loads(small.on_box(f"cat {run.run_dir}/run.json"))
    assert record["bundles"] == {"0": [[0, 1, 2]], "1": [[3, 4, 5]]}


@pytest.mark.long
def test_a_requeued_job_goes_on_with_those_that_had_not_ended(small: SmallImageBox) -> None:
    program = 'echo began; [ "$1" != 1 ] || until [ -e /out/go ] || [ -e /previous ]; do sleep 0.1; done'
    sweep, run = submit(small, program, 3, pack_minutes=60)
    wait_until(lambda: has(small, run, "task-1/attempt-1/log"), lambda: small.situation(run))
    now = small.look(run.run_id)
    assert [now.task_statuses[task].state for task in range(3)] == [
        State.COMPLETED,
        State.RUNNING,
        State.PENDING,
    ]
    small.as_root("scontrol", "requeue", str(run.job_id))

    def begun() -> bool:
        small.hurry(str(run.job_id))
        return not small.is_so(f"! ls -d {run.run_dir}/task-1/attempt-[2-9]")

    wait_until(begun, lambda: small.situation(run))
    assert words(states(small, sweep, run)) == ["COMPLETED ok"] * 3
    attempts = small.on_box(f"cd {run.run_dir} && ls -d task-*/attempt-*").split()
    assert [path.partition("/")[0] for path in attempts] == ["task-0", "task-1", "task-1", "task-2"]


@pytest.mark.long
def test_a_job_that_is_cancelled_begins_no_other(small: SmallImageBox) -> None:
    program = 'echo began; [ "$1" != 1 ] || exec sleep 600'
    sweep, run = submit(small, program, 3, pack_minutes=60)
    wait_until(lambda: has(small, run, "task-1/attempt-1/log"), lambda: small.situation(run))
    cancel(small.session, run.run_id)
    found = states(small, sweep, run)
    assert words(found) == ["COMPLETED ok", "CANCELLED cancelled", "CANCELLED cancelled"]


@pytest.mark.long
def test_the_limit_of_a_job_ends_the_one_that_runs_and_tells_the_others(small: SmallImageBox) -> None:
    program = 'echo began; [ "$1" != 1 ] || exec sleep 600'
    sweep, run = submit(small, program, 3, pack_minutes=60)
    wait_until(lambda: has(small, run, "task-1/attempt-1/log"), lambda: small.situation(run))
    # Its owner has given it less than it asked for: it is over its limit at once.
    small.as_root("scontrol", "update", f"jobid={run.job_id}", "timelimit=0:00:01")
    found = states(small, sweep, run)
    assert words(found) == ["COMPLETED ok", "TIMEOUT time-limit", "TIMEOUT time-limit"]
    assert found[2].status is not None
    assert str(found[2].status.note).startswith("it had not begun when")
    assert not has(small, run, "task-2/attempt-1/out/n")


@pytest.mark.long
def test_one_that_does_not_end_leaves_the_time_of_those_after_it(small: SmallImageBox) -> None:
    program = 'echo began; [ "$1" != 0 ] || { trap "" TERM; sleep 600; sleep 600; }'
    sweep, run = submit(small, program, 2, SlurmResources(time="1"), pack_minutes=60)
    found = states(small, sweep, run)
    assert words(found) == ["TIMEOUT time-limit", "COMPLETED ok"]


@pytest.mark.long
def test_the_monitor_submits_again_what_failed_in_a_job_of_its_own(small: SmallImageBox) -> None:
    if box_up(small.session).memory_limits is None:
        pytest.skip("SLURM does not enforce memory limits in this box")
    sweeps = Sweeps(small)
    # What fails after one that was killed for its memory is not taken for the same, and the others run.
    kinds = ("ok", "memory", "files", "program", "ok")
    sweep = sweeps.submit(*kinds, pack_minutes=60)
    look, words = monitor(sweeps.session(), sweep.sweep_id, Budget(most_tries=3))
    assert look.counts == {"ok": 4, "stopped": 1}, words
    assert of(words, "memory") == ["out of memory with 100M → with 200M of memory, try 2 of 3"]
    [files] = of(words, "files")
    assert files.startswith("the file system failed on node")
    assert of(words, "program")[0].startswith("the program failed, exit code 3 → stop")
    assert sweeps.starts(sweep) == {"0": 1, "1": 2, "2": 2, "3": 1, "4": 1}
    now = find_sweep(small.session, sweep.sweep_id)
    for one in now.elements[1:3]:
        assert one.place is not None
        new = small.look(one.place.run_id)
        assert (new.bundles, new.minutes, new.resources["time"]) == ({}, {}, "10")


@pytest.mark.long
def test_elements_side_by_side_have_a_gpu_each(small: SmallImageBox) -> None:
    # They wait for each other's file; of those in the second job one fails, and the other goes on.
    program = (
        'echo "gpu $CUDA_VISIBLE_DEVICES cpus $SLURM_CPUS_PER_TASK"; : >"/tmp/$SLIPWAY_RUN.$1"; '
        'until [ -e "/tmp/$SLIPWAY_RUN.$(($1 ^ 1))" ]; do sleep 0.1; done; [ "$1" != 2 ]'
    )
    # A node of the box has two GPUs and two processors.
    sweep, run = submit(small, program, 4, SlurmResources(gpus="1"), per_node=2)
    assert run.bundles == {0: ((0,), (1,)), 1: ((2,), (3,))}
    found = states(small, sweep, run)
    assert words(found) == ["COMPLETED ok", "COMPLETED ok", "FAILED program-error", "COMPLETED ok"]
    for task in range(4):
        log = small.on_box(f"cat {run.run_dir}/task-{task}/attempt-1/log")
        assert log == f"gpu {task % 2} cpus 1\n"
    shown = small.as_root("sacct", "-X", "-n", "-P", "-j", str(run.job_id), "-o", "ReqTRES")
    for line in shown.split():
        assert {"cpu=2", "mem=200M", "node=1", "gres/gpu=2"} <= set(line.split(","))
