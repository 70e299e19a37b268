"""Each way in which a job can end, provoked for real on the box."""

import time
from collections.abc import Iterator

import pytest

from slipway.job.tail import LogTail
from slipway.job.watch import cancel
from slipway.report.values import run_values
from slipway.scheduler.base import State
from slipway.steps.box import box_up
from slipway.steps.refresh import refresh
from slipway.steps.session import Choice
from tests.integration.night import Night, ending, ending_of
from tests.integration.small_image import UNTIL_LET_GO, SmallImageBox, fakes
from tests.waiting import wait_until

# Writes before its end, so that it shows whether output is kept.
KEEPS = "echo kept >/out/file; "
SAVER = KEEPS + "trap 'echo saved >/out/saved; exit 0' USR1 TERM; echo running; while :; do sleep 0.1; done"
SLEEPER = KEEPS + "echo running; exec sleep 300"
ARRAY = "echo task $SLURM_ARRAY_TASK_ID; echo kept >/out/file; exit $((SLURM_ARRAY_TASK_ID == 5 ? 3 : 0))"


@pytest.fixture(scope="module")
def night(small: SmallImageBox) -> Iterator[Night]:
    """Those that take a minute are submitted first, and run while others come and go."""
    night = Night(small)
    site = small.choice.site.model_copy(update={"grace_s": 20})
    night.submit("limit, saves", SAVER, site=site, time="1")
    night.submit("limit, does not", SLEEPER, site=site, time="1")
    night.submit("ok", KEEPS + "echo fine")
    night.submit("error", KEEPS + "exit 3")
    night.submit("signal", KEEPS + "kill -SEGV $$")
    night.submit("memory", KEEPS + "echo running; tail /dev/zero", mem="100M")
    night.submit("array", ARRAY, array="1,5,7%2")
    night.submit("module", "true", site=small.choice.site.model_copy(update={"modules": ("no-such",)}))
    night.submit("before", "true", site=small.choice.site.model_copy(update={"before": "exit 0"}))
    path = 'bin=$(mktemp -d); ln -s /usr/bin/* "$bin"; rm "$bin/apptainer"; PATH=$bin'
    night.submit("apptainer", "true", site=small.choice.site.model_copy(update={"before": path}))
    yield night
    with small.connect() as host:
        for run in night.runs.values():
            if run.job_id:
                host.run(["scancel", run.job_id])


def test_ok(night: Night) -> None:
    run = night.ended("ok")
    assert ending(run) == ("COMPLETED", "ok", 0, 0)
    assert night.told("ok") == ("ok", 0, None)
    assert (run.status.native_state, run.status.script_reason, run.status.note) == ("COMPLETED", "ok", None)
    assert night.file("ok", "attempt-1/out/file") == "kept\n"


def test_program_error(night: Night) -> None:
    assert ending(night.ended("error")) == ("FAILED", "program-error", 3, 3)
    assert night.told("error") == ("program-error", 3, None)
    assert night.file("error", "attempt-1/out/file") == "kept\n"


def test_a_program_that_is_killed_by_a_signal(night: Night) -> None:
    run = night.ended("signal")
    assert ending(run) == ("FAILED", "program-error", 139, 139)
    assert run.status.signal == 11
    assert run.status.note is None
    assert night.told("signal") == ("program-error", 139, 11)
    assert night.file("signal", "attempt-1/out/file") == "kept\n"


def test_out_of_memory(night: Night) -> None:
    limits = box_up(night.small.session).memory_limits
    if limits is None:
        pytest.skip("SLURM does not enforce memory limits in this box")
    run = night.ended("memory")
    assert ending(run) == ("OUT_OF_MEMORY", "out-of-memory", 137, 137)
    assert run.status.native_state == "OUT_OF_MEMORY"
    assert night.told("memory") == ("out-of-memory", 137, 9)
    assert night.file("memory", "attempt-1/out/file") == "kept\n"


def test_an_array_ends_as_its_worst_task(night: Night) -> None:
    run = night.ended("array")
    assert ending(run) == ("FAILED", "program-error", 3, 3)
    assert (run.status.native_state, run.status.script_reason) == ("FAILED", "program-error")
    assert run.status.note == "2 of 3 tasks ok; task 5: program-error 3"
    (kept,) = [one for one in night.small.session.store.select() if one.run_id == run.run_id]
    assert {task: ending_of(status) for task, status in kept.task_statuses.items()} == {
        1: ("COMPLETED", "ok", 0),
        5: ("FAILED", "program-error", 3),
        7: ("COMPLETED", "ok", 0),
    }
    assert run.job_id is not None
    assert run.job_id.isdigit()
    assert night.file("array", "task-5/attempt-1/out/file") == "kept\n"
    pieces: list[str] = []
    with night.small.connect() as host:
        LogTail(run, pieces.append).finish(host)
    assert "".join(pieces) == "".join(f"--- task {task} ---\ntask {task}\n" for task in (1, 5, 7))


@pytest.mark.long
def test_all_tasks_of_an_array_are_cancelled(night: Night) -> None:
    night.submit("cancelled array", SLEEPER, array="0-8:2%1")
    run = night.wait_for("cancelled array", State.RUNNING)
    log = f"{run.run_dir}/task-0/attempt-1/log"
    night.wait(lambda: "running" in night.small.on_box(f"cat {log} 2>/dev/null || true"), "the first task")
    with night.small.connect() as host:
        night.runs["cancelled array"] = cancel(host, run)
    run = night.ended("cancelled array")
    assert (run.status.state, run.status.reason) == (State.CANCELLED, "cancelled")
    assert str(run.status.note).startswith("0 of 5 tasks ok; task 0: cancelled 143; task 2: cancelled; ")
    assert night.small.on_box(f"squeue -h -j {run.job_id} 2>/dev/null || true") == ""


@pytest.mark.parametrize("name", ["module", "before", "apptainer"])
def test_launch_failure(night: Night, name: str) -> None:
    run = night.ended(name)
    assert (run.status.state.value, run.status.reason) == ("FAILED", "launch-failure")
    assert run.status.wait_code != 0


def test_an_image_that_is_gone(night: Night) -> None:
    small = night.small
    # An image of its own, which is removed when the job has begun.
    small.on_box(
        "cd $SCRATCH/slipway/images && cp -L slipway-small.sif gone-1.sif && ln -s gone-1.sif gone.sif && "
        "sed 's/slipway-small-[0-9a-f]*/gone-1/' slipway-small-*.json >gone-1.json"
    )
    profile = small.choice.profile.model_copy(update={"image": "gone"})
    site = small.choice.site.model_copy(update={"before": 'while [ -e "$image" ]; do sleep 0.1; done'})
    other = SmallImageBox(session=small.session, choice=Choice(profile=profile, site=site))
    with small.connect() as host:
        night.runs["image"] = other.submit(host, "true")
    night.wait_for("image", State.RUNNING)
    small.on_box("rm $SCRATCH/slipway/images/gone*")
    run = night.ended("image")
    assert (run.status.state.value, run.status.reason) == ("FAILED", "launch-failure")
    assert run.status.wait_code != 0


def test_cancelled_while_it_runs(night: Night) -> None:
    night.submit("cancelled", SLEEPER)
    night.submit("cancelled, saves", SAVER)
    for name in ("cancelled", "cancelled, saves"):
        night.wait_for_word(name, "running")
    small = night.small
    small.on_box(f"scancel {night.runs['cancelled'].job_id}")
    with small.connect() as host:
        cancel(host, night.runs["cancelled, saves"])
    assert ending(night.ended("cancelled")) == ("CANCELLED", "cancelled", 143, 143)
    assert night.told("cancelled") == ("cancelled", 143, 15)
    assert ending(night.ended("cancelled, saves")) == ("CANCELLED", "cancelled", 0, 1)
    assert night.told("cancelled, saves") == ("cancelled", 0, None)
    assert night.file("cancelled, saves", "attempt-1/out/saved") == "saved\n"


def test_cancelled_while_it_waits(night: Night) -> None:
    night.submit("waiting", "true", sbatch=("--begin=now+1hour",))
    night.wait(lambda: night.runs["waiting"].status.pending_reason == "BeginTime", "the reason")
    with night.small.connect() as host:
        night.runs["waiting"] = cancel(host, night.runs["waiting"])
    assert ending(night.ended("waiting")) == ("CANCELLED", "cancelled", None, 1)


def test_where_both_disagree_the_worse_is_believed_and_both_are_shown(night: Night) -> None:
    # SLURM has it that the script failed, the script that the program did well.
    site = night.small.choice.site.model_copy(update={"before": "exit() { command exit 9; }"})
    night.submit("disagree", "true", site=site)
    run = night.ended("disagree")
    assert night.told("disagree") == ("ok", 0, None)
    assert ending(run) == ("FAILED", "program-error", 9, 9)
    listed = run_values(run)
    assert (listed["slurm_state"], listed["script_reason"]) == ("FAILED", "ok")
    assert (
        listed["note"] == "SLURM says FAILED 9:0, the job script ok, exit code 0; the more severe state wins"
    )


@pytest.mark.long
def test_preempted_and_tried_again(night: Night) -> None:
    small = night.small
    script = (
        'if [ -n "$SLIPWAY_PREVIOUS" ]; then cat $SLIPWAY_PREVIOUS/saved | tee /out/saved; exit 0; fi; '
        "trap 'echo saved >/out/saved; exit 0' TERM; echo running; while :; do sleep 0.1; done"
    )
    names = [f"scavenger {number}" for number in range(2)]
    for name in names:
        night.submit(name, script, partition="scavenge", gpus="a100:1")
    night.submit("last", script, partition="scavenge", gpus="a100:1")
    # Of those that are preempted, one may not begin once more: that is its end.
    small.as_root("scontrol", "update", f"jobid={night.runs['last'].job_id}", "requeue=0")
    for name in (*names, "last"):
        night.wait_for_word(name, "running")
    # On all nodes at once, else one that was pushed aside begins again at the next node, and is once more.
    night.submit("pusher", "sleep 2", partition="priority", gpus="a100:1", nodes=3)
    run = night.ended("last")
    assert ending(run) == ("PREEMPTED", "preempted", 0, 1)
    assert night.told("last") == ("preempted", 0, None)
    assert night.file("last", "attempt-1/out/saved") == "saved\n"
    night.ended("pusher")
    for name in names:
        # SLURM 24.11 takes the second attempt for preempted as well, however it ends, and begins a third one.
        night.wait(lambda name=name: night.has_come_to_an_end(name), f"the end of {name}")  # type: ignore[misc]
        assert ending(night.runs[name]) == ("COMPLETED", "ok", 0, 0)
        assert night.file(name, "attempt-2/log") == "saved\n"


def test_time_limit(night: Night) -> None:
    run = night.ended("limit, saves")
    assert (run.status.reason, run.status.exit_code, run.status.wait_code) == ("time-limit", 0, 1)
    assert night.told("limit, saves") == ("time-limit", 0, None)
    assert night.file("limit, saves", "attempt-1/out/saved") == "saved\n"
    run = night.ended("limit, does not")
    # The warning did it no harm: it ran until SLURM ended it.
    assert ending(run) == ("TIMEOUT", "time-limit", 143, 143)
    assert night.told("limit, does not") == ("time-limit", 143, 15)
    assert night.result("limit, does not")["end"] - night.result("limit, does not")["start"] >= 58  # type: ignore[operator]
    assert night.file("limit, does not", "attempt-1/out/file") == "kept\n"


@pytest.mark.long
def test_the_warning_leaves_programs_without_a_handler_alone(night: Night) -> None:
    waits = f"echo running; {UNTIL_LET_GO}; echo fine"
    night.submit("unaware", waits)
    night.submit("unaware, nodes", waits, nodes=2)
    # A handler of Python's or C's own, in a process that a shell script does not become.
    night.submit(
        "perl saves",
        'exec perl -e \'$SIG{USR1} = sub { print "saved\\n"; exit 5 }; '
        '$| = 1; print "running\\n"; sleep 1 while 1\'',
    )
    for name in ("unaware", "unaware, nodes", "perl saves"):
        night.wait_for_word(name, "running\nrunning" if name == "unaware, nodes" else "running")
        # As SLURM does before the time limit: only the batch script is told.
        night.small.on_box(f"scancel --batch --signal=USR1 {night.runs[name].job_id}")
    time.sleep(2)
    for name in ("unaware", "unaware, nodes"):
        night.small.let_go(night.runs[name])
    for name in ("unaware", "unaware, nodes"):
        assert ending(night.ended(name)) == ("COMPLETED", "ok", 0, 0), night.file(name, "attempt-1/log")
    night.ended("perl saves")
    assert night.told("perl saves") == ("time-limit", 5, None)


@pytest.mark.fault("cluster", "node lost")
def test_node_failure_and_the_old_processes(night: Night) -> None:
    small = night.small
    # The old attempt writes on, for as long as it lives, to what it takes for its own folder.
    writes = "echo $SLIPWAY_ATTEMPT >>/out/lines; sleep 0.1"
    script = f"echo running; until [ -e /out/go ]; do {writes}; done"
    night.submit("lost", script)
    night.submit("lost for good", script)
    small.as_root("scontrol", "update", f"jobid={night.runs['lost for good'].job_id}", "requeue=0")
    for name in ("lost", "lost for good"):
        night.wait_for_word(name, "running")
    nodes = {
        name: small.on_box(f"squeue -h -j {night.runs[name].job_id} -o %N").strip()
        for name in night.runs
        if name.startswith("lost")
    }
    for node in set(nodes.values()):
        small.as_root("pkill", "-KILL", "-f", f"^slurmd -N {node}$")
    # All at once, or what is requeued from one may begin on the next.
    down = ",".join(sorted(set(nodes.values())))
    small.as_root("scontrol", "update", f"nodename={down}", "state=down", "reason=trial")
    run = night.ended("lost for good")
    assert (run.status.state.value, run.status.reason, run.status.wait_code) == (
        "NODE_FAIL",
        "node-failure",
        1,
    )
    attempt = small.begin_again(night.runs["lost"])
    night.wait_for_word("lost", "running", attempt)
    before = night.file("lost", "attempt-1/out/lines").count("1")
    written = lambda: night.file("lost", "attempt-1/out/lines").count("1")  # noqa: E731
    wait_until(lambda: written() > before, "a line of the old one, which lives and writes")
    assert set(night.file("lost", f"attempt-{attempt}/out/lines").split()) == {str(attempt)}
    with small.connect() as host:
        cancel(host, night.runs["lost"])
    assert night.ended("lost").status.reason == "cancelled"
    for name in ("lost", "lost for good"):
        small.let_go(night.runs[name])
    for node in set(nodes.values()):
        small.as_root("slurmd", "-N", node)
        small.as_root("scontrol", "update", f"nodename={node}", "state=resume", code=None)


@pytest.mark.long
@pytest.mark.fault("cluster", "slurmdbd down")
def test_a_site_that_keeps_no_accounts(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    small = night.small
    # Stand-ins for SLURM's programs on a site where AccountingStorageType is none, and where the controller
    # has forgotten the job: on the box neither is so.
    with fakes(small) as fake:
        fake("sacct", "echo Slurm accounting storage is disabled >&2; exit 1")
        for name in ("no accounts", "no accounts, killed"):
            night.submit(name, "echo running; sleep 2" if name == "no accounts" else SLEEPER)
            night.wait_for_word(name, "running")
        # Not even the script is left to say how it ended.
        small.as_root("pkill", "-KILL", "-f", f"job0*{night.runs['no accounts, killed'].job_id}/slurm_script")
        run = night.runs["no accounts, killed"]
        night.wait(lambda: not small.on_box(f"squeue -h -n {run.run_id}").strip(), "its end")
        assert ending(night.ended("no accounts")) == ("COMPLETED", "ok", 0, 0)
        # The controller remembers it.
        assert ending(night.ended("no accounts, killed")) == ("FAILED", "program-error", 137, 137)
        fake("scontrol", "exit 1")
        with small.connect() as host:
            (now,) = refresh(small.session, host, [run])
            assert now.status.state is State.UNKNOWN
            assert "sacct could not be asked: Slurm accounting storage is disabled" in str(now.status.note)
            monkeypatch.setattr("slipway.job.poll.GONE_S", 0)
            time.sleep(1.1)
            (now,) = refresh(small.session, host, [now])
        assert ending(now) == ("FAILED", "node-failure", None, 1)
        assert "killed outright" in str(now.status.note)


@pytest.mark.fault("cluster", "slurmctld down")
def test_what_cannot_be_read_is_unknown(night: Night) -> None:
    small = night.small
    night.submit("unreadable", UNTIL_LET_GO)
    run = night.runs["unreadable"]
    # Stand-ins for programs of another SLURM, or whose controller is down.
    with fakes(small) as fake:
        for name in ("squeue", "sacct", "scontrol"):
            fake(name, "echo no such word")
        with small.connect() as host:
            (now,) = refresh(small.session, host, [run])
            assert now.status.state is State.UNKNOWN
            assert "squeue printed 'no such word'" in str(now.status.note)
            for name in ("squeue", "sacct", "scontrol"):
                fake(name, "echo no controller >&2; exit 1")
            (now,) = refresh(small.session, host, [run])
            assert now.status.note == "squeue could not be asked: no controller"
    night.wait_for("unreadable", State.RUNNING)
    small.let_go(run)
    assert night.ended("unreadable").status.reason == "ok"
