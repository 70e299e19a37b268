"""The monitor on the box with a real SLURM: each kind of failure, two at once, and killed at any moment."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from slipway.host.scratch import open_scratch
from slipway.job.run import Run
from slipway.model import read_values
from slipway.monitor.claim import make_claims, read_claims
from slipway.monitor.rule import Rule, Rules
from slipway.monitor.spending import Budget
from slipway.report.sweep_table import element_states
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.box import box_up
from slipway.steps.find import find_sweep
from slipway.steps.monitor import Monitor
from slipway.steps.monitored import Look, find_targets
from slipway.steps.session import Choice
from slipway.steps.submit import Push
from slipway.steps.sweep import sweep_submitted
from slipway.steps.sweep_arrays import SweepRequest
from slipway.sweep.record import Sweep
from slipway.sweep.spec import SweepSpec
from tests.campaign import rounds
from tests.faults import Made
from tests.integration.monitor_program import OpenSession, monitor
from tests.integration.small_image import SmallImageBox
from tests.integration.task_runner import TaskRunner
from tests.waiting import wait_until

KILLS = rounds(20, 5)
# What fails the first time does not where there is something of an earlier try.
PROGRAM = r"""
first=; [ -e /previous/tried ] || first=yes
date >/out/tried
case $1 in
ok) ;;
memory) exec perl -e '$x = "a" x 70_000_000; sleep 1; print "enough\n"' ;;
gpu) [ -z "$first" ] || { echo "torch.OutOfMemoryError: CUDA out of memory." >&2; exit 1; } ;;
files) [ -z "$first" ] || { echo "cat: /data/x: Stale file handle" >&2; exit 1; } ;;
costs) sleep 1.5; [ -z "$first" ] || { echo "cat: /data/x: Stale file handle" >&2; exit 1; } ;;
program) echo "ValueError: it is wrong" >&2; exit 3 ;;
twice) n=$(cat /previous/count 2>/dev/null || echo 0); echo $((n + 1)) >/out/count
    sleep 0.$((RANDOM % 9)); [ "$n" -ge 2 ] || { echo "x: Input/output error"; exit 1; } ;;
waits) echo running; until [ -e /out/go ] || [ -e /previous/tried ]; do sleep 0.2; done ;;
esac
"""


class Sweeps:
    """Sweeps of a program that fails as it is told."""

    def __init__(self, small: SmallImageBox) -> None:
        self.small = small

    def session(self, rules: Rules | None = None) -> OpenSession:
        return OpenSession(project=self.small.session.project, rules=rules or Rules())

    def submit(
        self, *kinds: str, before: str = "", pack_minutes: int | None = None, **resources: str
    ) -> Sweep:
        profile = self.small.choice.profile.model_copy(update={"program": ("sh", "-c", PROGRAM, "sh")})
        site = self.small.choice.site.model_copy(update={"queues": {}, "before": before})
        request = SweepRequest(
            choice=Choice(profile=profile, site=site),
            spec=SweepSpec(
                args=("{kind}", "{n}"),
                zip=({"kind": kinds, "n": numbers(kinds)},),
                pack_minutes=pack_minutes,
            ),
            resources=read_values(SlurmResources, {"cpus": 1, "mem": "100M", "time": "10", **resources}),
            again=True,
        )
        with sweep_submitted(self.small.session, request, Push.NEVER) as done:
            return done.sweep

    def starts(self, sweep: Sweep) -> Counter[str]:
        """How often each element was begun, on the cluster."""
        find = f'grep -l \'"sweep": "{sweep.sweep_id}"\' $SCRATCH/slipway/runs/*/run.json'
        printed = self.small.on_box(
            f"for f in $({find}); do d=${{f%/run.json}}; for t in $d/task-*/attempt-*; do "
            'echo "$d $t"; done; done'
        )
        tasks = [Path(line.split()[1]).parent.name for line in printed.splitlines() if "task-*" not in line]
        return Counter(task.removeprefix("task-") for task in tasks)


def numbers(kinds: Sequence[str]) -> tuple[str, ...]:
    return tuple(map(str, range(len(kinds))))


@pytest.fixture(scope="module")
def sweeps(small: SmallImageBox) -> Sweeps:
    return Sweeps(small)


def of(words: Sequence[str], kind: str) -> list[str]:
    """What was decided of elements of a kind, behind their names."""
    return [line.partition(": ")[2] for line in words if line.startswith(f"element kind={kind} ")]


def runs(sweeps: Sweeps, sweep: Sweep) -> dict[str, Run]:
    return {run_id: sweeps.small.look(run_id) for run_id in sweep.run_ids}


def test_each_kind_of_failure_gets_what_helps(sweeps: Sweeps) -> None:
    if box_up(sweeps.small.session).memory_limits is None:
        pytest.skip("SLURM does not enforce memory limits in this box")
    kinds = ("ok", "memory", "gpu", "files", "program")
    sweep = sweeps.submit(*kinds, gpus="v100:1")
    rules = read_values(Rules, {"gpu_ladder": ("v100:1", "a100:1")})
    look, words = monitor(sweeps.session(rules), sweep.sweep_id, Budget(most_tries=3))
    assert look.counts == {"ok": 4, "stopped": 1}, words
    assert of(words, "memory") == ["out of memory with 100M → with 200M of memory, try 2 of 3"]
    assert of(words, "gpu") == ["out of GPU memory on v100:1 → on a100:1, try 2 of 3"]
    [files] = of(words, "files")
    assert files.startswith("the file system failed on node")
    assert files.endswith(" → again, try 2 of 3")
    assert of(words, "program") == [
        "the program failed, exit code 3 → stop: the same program would fail again"
    ]
    assert sweeps.starts(sweep) == {"0": 1, "1": 2, "2": 2, "3": 2, "4": 1}
    now = find_sweep(sweeps.small.session, sweep.sweep_id)
    assert [len(one.tries) for one in now.elements] == [0, 1, 1, 1, 0]
    known = runs(sweeps, now)
    assert [state.is_ok for state in element_states(now, known)] == [True, True, True, True, False]
    asked = {
        one.values["kind"]: known[one.place.run_id].resources for one in now.elements if one.place is not None
    }
    assert (asked["memory"]["mem"], asked["memory"]["gpus"]) == ("200M", "v100:1")
    assert (asked["gpu"]["mem"], asked["gpu"]["gpus"]) == ("100M", "a100:1")
    # A month later, nothing of it is run once more.
    again, said = monitor(sweeps.session(rules), sweep.sweep_id, Budget(most_tries=9))
    assert again.counts == look.counts
    assert len(said) == 1
    assert sweeps.starts(sweep) == {"0": 1, "1": 2, "2": 2, "3": 2, "4": 1}


@pytest.mark.long
def test_the_time_limit_and_what_was_ended_before_it_began(sweeps: Sweeps) -> None:
    limit = sweeps.submit("waits", time="1")
    # The site's lines are mended when it is submitted again.
    launch = sweeps.submit("ok", before="exit 0")
    session = sweeps.session()
    [target] = find_targets(session, launch.sweep_id, ())
    watching = Monitor(session=session, target=target, budget=Budget(most_tries=2), only_look=True)
    look = wait_until(lambda: ended(watching.look()), "the end of what does not begin")
    assert next(one.decision.words for one in look.seen if one.decision).startswith(
        "element kind=ok n=0: it ended before its program began on node"
    )
    session.hosts.close()
    assert monitor(sweeps.session(), launch.sweep_id, Budget(most_tries=2))[0].counts == {"ok": 1}
    found, words = monitor(sweeps.session(), limit.sweep_id, Budget(most_tries=2))
    assert found.counts == {"ok": 1}
    assert of(words, "waits") == [
        "ended by its time limit of 1 → goes on from what it wrote, with 0:02:00 of time, try 2 of 2"
    ]


def ended(look: Look) -> Look | None:
    return look if look.is_over or any(one.decision for one in look.seen) else None


@pytest.mark.long
def test_what_was_pushed_aside_runs_again(sweeps: Sweeps) -> None:
    small = sweeps.small
    sweep = sweeps.submit("waits", partition="scavenge", gpus="a100:1")
    run = begun(sweeps, sweep)
    small.as_root("scontrol", "update", f"jobid={run.job_id}", "requeue=0")
    wanted = SlurmResources(partition="priority", gpus="a100:1", nodes=3, mem="100M")
    with small.connect() as host:
        pusher = small.submit(host, "sleep", "2", wanted=wanted, site=open_site(small))
    look, words = monitor(sweeps.session(), sweep.sweep_id, Budget(most_tries=2))
    assert look.counts == {"ok": 1}
    [said] = of(words, "waits")
    assert said.startswith("preempted on node")
    assert said.endswith(" → again, try 2 of 2")
    assert sweeps.starts(sweep) == {"0": 2}
    small.wait_for(pusher)


@pytest.mark.long
@pytest.mark.fault("cluster", "node lost")
def test_what_was_on_a_lost_node_runs_elsewhere(sweeps: Sweeps) -> None:
    small = sweeps.small
    sweep = sweeps.submit("waits")
    run = begun(sweeps, sweep)
    small.as_root("scontrol", "update", f"jobid={run.job_id}", "requeue=0")
    node = small.on_box(f"squeue -h -j {run.job_id} -o %N").strip()
    small.as_root("pkill", "-KILL", "-f", f"^slurmd -N {node}$")
    small.as_root("scontrol", "update", f"nodename={node}", "state=down", "reason=trial")
    try:
        rules = Rules(node_failure=Rule(do="again", exclude_node_after=1))
        look, words = monitor(sweeps.session(rules), sweep.sweep_id, Budget(most_tries=2))
        assert look.counts == {"ok": 1}
        assert of(words, "waits") == [f"its node failed on {node} → again, not on {node}, try 2 of 2"]
        assert sweeps.starts(sweep) == {"0": 2}
        now = find_sweep(small.session, sweep.sweep_id)
        assert runs(sweeps, now)[now.run_ids[0]].resources["sbatch"] == [f"--exclude={node}"]
    finally:
        # The old program lives, and waits to be let go.
        small.as_root("touch", f"{run.run_dir}/task-0/attempt-1/out/go")
        small.as_root("slurmd", "-N", node)
        small.as_root("scontrol", "update", f"nodename={node}", "state=resume", code=None)


def begun(sweeps: Sweeps, sweep: Sweep) -> Run:
    """The run of a sweep of one element, once its program runs."""
    run = sweeps.small.look(sweep.run_ids[0])
    log = f"{run.run_dir}/task-0/attempt-1/log"
    wait_until(lambda: sweeps.small.is_so(f"grep -qx running {log}"), lambda: sweeps.small.situation(run))
    return sweeps.small.look(run.run_id)


def test_a_budget_that_is_spent_ends_it(sweeps: Sweeps) -> None:
    # SLURM counts whole seconds.
    sweep = sweeps.submit("costs", "ok", gpus="v100:1")
    look, words = monitor(sweeps.session(), sweep.sweep_id, Budget(most_tries=3, gpu_hours=1e-9))
    assert look.reached is not None
    assert look.reached.startswith("--gpu-hours 1e-09 is spent: 0.00")
    assert look.counts == {"failed": 1, "ok": 1}
    look, words = monitor(sweeps.session(), sweep.sweep_id, Budget(most_tries=1))
    assert look.counts == {"stopped": 1, "ok": 1}
    assert of(words, "costs")[-1].endswith(" → stop: try 1 of 1 was the last")
    assert sweeps.starts(sweep) == {"0": 1, "1": 1}


@pytest.mark.long
def test_a_run_alone_is_submitted_again(sweeps: Sweeps) -> None:
    small = sweeps.small
    with small.connect() as host:
        run = small.submit(host, "sh", "-c", PROGRAM, "sh", "files", site=open_site(small))
    session = sweeps.session()
    [target] = find_targets(session, None, [run.run_id])
    budget = Budget(most_tries=2)
    first = Monitor(session=session, target=target, budget=budget)
    tries: list[Run] = []
    first.on_try = tries.append
    look = wait_until(lambda: ended(first.look()), "the first end")
    assert first.act(look) == []
    [new] = tries
    assert (new.parent, new.tries, new.args) == (run.run_id, (run.run_id,), run.args)
    # Another that has looked before that comes too late.
    second = Monitor(session=session, target=target, budget=budget)
    stale = replace(look)
    second.look()
    assert second.act(stale) == []
    assert len(tries) == 1
    look = wait_until(lambda: over(first.look()), "the second end")
    assert look.counts == {"ok": 1}
    session.hosts.close()


@pytest.mark.long
def test_a_claim_of_a_monitor_that_was_killed(sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch) -> None:
    small, session = sweeps.small, sweeps.session()
    with small.connect() as host:
        run = small.submit(host, "sh", "-c", PROGRAM, "sh", "files", site=open_site(small))
        small.wait_for(run)
        # It was killed before it had made anything of the new run.
        scratch = open_scratch(host, small.choice.site)
        gone = "dead-cpu-20260131-142530"
        assert make_claims(host, scratch, run.run_id, {None: 1}, gone) == [None]
        [target] = find_targets(session, None, [run.run_id])
        first = Monitor(session=session, target=target, budget=Budget(most_tries=2))
        assert first.look().counts == {"on its way": 1}
        monkeypatch.setattr("slipway.steps.newest_tries.FRESH_S", 0)
        look = first.look()
        assert look.counts == {"failed": 1}
        assert read_claims(host, scratch, [run.run_id])[run.run_id, None].is_submitted is False
        tries: list[Run] = []
        first.on_try = tries.append
        assert first.act(look) == []
        assert read_claims(host, scratch, [run.run_id])[run.run_id, None].run_id == tries[0].run_id
        # Another was killed when its job was there, and nothing was written down of it, on another machine.
        lost = small.submit(host, "sh", "-c", PROGRAM, "sh", "files", site=open_site(small))
        again = small.submit(host, "sh", "-c", PROGRAM, "sh", "ok", site=open_site(small))
        small.wait_for(lost)
        assert make_claims(host, scratch, lost.run_id, {None: 1}, again.run_id) == [None]
        session.store.forget(again)
        [target] = find_targets(session, None, [lost.run_id])
        second = Monitor(session=session, target=target, budget=Budget(most_tries=2))
        look = wait_until(lambda: over(second.look()), "the end of what it finds")
        assert look.counts == {"ok": 1}
        assert second.elements[0].tries == ((lost.run_id, None), (again.run_id, None))
        assert read_claims(host, scratch, [lost.run_id])[lost.run_id, None].is_submitted is True
    session.hosts.close()


def over(look: Look) -> Look | None:
    return look if look.is_over else None


def open_site(small: SmallImageBox) -> object:
    return small.choice.site.model_copy(update={"queues": {}})


def test_the_command_says_what_it_would_do_and_does_it(sweeps: Sweeps) -> None:
    sweep = sweeps.submit("files", "program")
    project = sweeps.small.session.project
    runner = TaskRunner(state=project.state, results=project.results)
    words = ("monitor", "--sweep", sweep.sweep_id)

    def explained() -> list[str] | None:
        lines = runner.invoke(*words, "--explain").stdout.splitlines()
        return lines if "2 elements: 1 failed, 1 stopped" in lines else None

    lines = wait_until(explained, "the end of both")
    [again] = [
        line for line in lines if line.startswith("element kind=files n=0: the file system failed on ")
    ]
    assert again.endswith(" → again, try 2 of 3")
    stop = (
        "element kind=program n=1: the program failed, exit code 3 → stop: the same program would fail again"
    )
    assert lines[lines.index(stop) + 1] == "    | ValueError: it is wrong"
    assert "  out_of_gpu_memory: next-gpu" in lines
    assert runner.invoke(*words, "--dry-run").stdout.splitlines() == [
        "2 elements: 1 failed, 1 stopped",
        again,
        stop,
        "    | ValueError: it is wrong",
    ]
    assert sweeps.starts(sweep) == {"0": 1, "1": 1}
    done = runner.invoke(*words, "--interval", "1", code=92)
    shown = done.stdout.splitlines()
    assert shown[:2] == [again, stop]
    [new] = [line for line in shown if line.startswith("run ")]
    assert new.endswith("  1 element")
    assert "2 elements: 1 ok, 1 stopped" in shown
    assert "1 element has not ended well" in done.stderr
    assert sweeps.starts(sweep) == {"0": 2, "1": 1}
    # Without a name it is the newest; where all is well it ends with 0.
    well = sweeps.submit("ok")
    assert "1 element: 1 ok" in runner.invoke("monitor", "--interval", "1").stdout
    assert sweeps.starts(well) == {"0": 1}


@pytest.mark.long
@pytest.mark.fault("kills", "monitor")
def test_killed_at_any_moment_and_two_at_once(sweeps: Sweeps, made: Made) -> None:
    sweep = sweeps.submit(*["twice"] * 8)
    rng = random.Random()  # noqa: S311
    for _ in range(KILLS):
        with start(sweeps, sweep) as one, start(sweeps, sweep) as two:
            time.sleep(rng.uniform(0.5, 6))
            one.kill()
            time.sleep(rng.uniform(0, 2))
            two.kill()
        made("SIGKILL")
        made("SIGKILL")
    with start(sweeps, sweep) as one, start(sweeps, sweep) as two:
        said = [json.loads(process.communicate(timeout=600)[0]) for process in (one, two)]
    assert [one["counts"] for one in said] == [{"ok": 8}, {"ok": 8}], said
    # Twice they fail; no element is lost, and none has run once more than that.
    assert sweeps.starts(sweep) == {str(number): 3 for number in range(8)}


def start(sweeps: Sweeps, sweep: Sweep) -> subprocess.Popen[str]:
    state = str(sweeps.small.session.project.state)
    wanted = {"state": state, "sweep": sweep.sweep_id, "tries": 3}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.monitor_program", json.dumps(wanted)],
        stdout=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[2],
    )
