"""Runs that go on after their time limit, on the box: requeued by their own scripts, from real limits too."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from slipway.host.host import Host
from slipway.job.poll import poll
from slipway.job.results import pull
from slipway.job.run import Run
from slipway.job.tail import LogTail
from slipway.job.watch import cancel, follow
from slipway.progress import NullProgress
from slipway.scheduler.base import State
from tests.campaign import others_long
from tests.integration.night import Night, ending
from tests.integration.small_image import UNTIL_LET_GO, SmallImageBox

# Counts its links: the fourth has nothing left to do. It saves as it is warned.
COUNTS = (
    "step=$(($(cat \"$SLIPWAY_PREVIOUS/step\" 2>/dev/null) + 1)); trap 'echo $step >/out/step; exit 0' USR1; "
    'echo "step $step"; [ "$step" -lt 4 ] || { echo done >/out/figures; exit 0; }; '
    "while :; do sleep 0.1; done"
)
# Writes as it goes, and knows of no signal.
WRITES = (
    '[ -z "$SLIPWAY_PREVIOUS" ] || cp "$SLIPWAY_PREVIOUS"/* /out/; echo here >/out/attempt-$SLIPWAY_ATTEMPT; '
    '[ "$SLIPWAY_ATTEMPT" -lt 3 ] || { ls /out; exit 0; }; echo running; exec sleep 300'
)
WAITS = "trap 'echo saved >/out/saved; exit 0' USR1; echo running; while :; do sleep 0.1; done"


@pytest.fixture(scope="module")
def night(small: SmallImageBox) -> Iterator[Night]:
    """Those that take a limit are submitted first, and run while others come and go."""
    night = Night(small)
    night.submit("three", COUNTS, time="1", continue_after_limit=5)
    night.submit("preempted", WRITES, partition="scavenge", gpus="a100:1", continue_after_limit=5)
    night.wait_for_word("preempted", "running")
    # On all nodes at once, else what was pushed aside begins again at the next one.
    night.submit("pusher", "sleep 1", partition="priority", gpus="a100:1", nodes=3)
    night.ended("pusher")
    night.wait(lambda: night.has_attempt("preempted", 2), "the attempt after the preemption")
    night.wait_for_word("preempted", "running", attempt=2)
    small.as_root("scontrol", "update", f"jobid={night.runs['preempted'].job_id}", "timelimit=1")
    yield night
    with small.connect() as host:
        for run in night.runs.values():
            if run.job_id:
                host.run(["scancel", run.job_id])


def warn(night: Night, name: str, task: str = "") -> None:
    """Warn a run as SLURM does before the time limit: only the batch script is told."""
    night.small.on_box(f"scancel --batch --signal=USR1 {night.runs[name].job_id}{task}")


def test_cancelled_between_two_links(night: Night) -> None:
    night.submit("waits", WAITS, continue_after_limit=3)
    night.wait_for_word("waits", "running")
    warn(night, "waits")
    night.wait(lambda: night.runs["waits"].status.link == 2, "the next link")
    night.wait_for("waits", State.PENDING)
    status = night.runs["waits"].status
    assert (status.state, status.link, status.links) == (State.PENDING, 2, 4)
    assert status.note == "link 2 of at most 4"
    assert night.result("waits")["continues"] is True
    with night.small.connect() as host:
        night.runs["waits"] = cancel(host, night.runs["waits"])
    run = night.ended("waits")
    assert ending(run) == ("CANCELLED", "cancelled", None, 1)
    assert run.status.note == "link 2 of at most 4"
    assert night.file("waits", "attempt-1/out/saved") == "saved\n"


def test_following_and_pulling_go_on_through_the_links(night: Night, tmp_path: Path) -> None:
    ends = 'if [ -n "$SLIPWAY_PREVIOUS" ]; then cp "$SLIPWAY_PREVIOUS"/saved /out/; echo whole; exit 0; fi; '
    night.submit("followed", ends + WAITS, continue_after_limit=3)
    pieces, states = list[str](), list[str]()

    def on_text(text: str) -> None:
        pieces.append(text)
        if text == "running\n":
            warn(night, "followed")

    def look(host: Host, run: Run) -> Run:
        looked = poll(host, [run])[0]
        # Only after it was seen to wait: what is hurried may run before the next question.
        night.small.hurry(str(run.job_id))
        return looked

    with night.small.connect() as host:
        run = follow(
            host,
            night.runs["followed"],
            on_text,
            lambda run: states.append(run.status.state.value),
            look=look,
        )
        night.runs["followed"] = run
        pulled = pull(host, run, tmp_path, NullProgress())
    assert ending(run) == ("COMPLETED", "ok", 0, 0)
    text = "".join(pieces)
    assert text.startswith("running\n")
    assert text.endswith("\n--- attempt 2 ---\nwhole\n")
    assert "PENDING" in states
    assert pulled.out == pulled.home / "attempt-2" / "out"
    assert (pulled.out / "saved").read_text() == "saved\n"
    assert "attempt-2" in (pulled.home / "out").readlink().as_posix()
    assert any("2" in line for line in pulled.attempts)


@pytest.mark.long
def test_cancelled_in_a_link(night: Night) -> None:
    night.submit("in a link", WAITS, continue_after_limit=3)
    night.wait_for_word("in a link", "running")
    warn(night, "in a link")
    night.wait(lambda: night.runs["in a link"].status.link == 2, "the next link")
    night.small.begin_again(night.runs["in a link"])
    night.wait_for_word("in a link", "running", attempt=2)
    with night.small.connect() as host:
        night.runs["in a link"] = cancel(host, night.runs["in a link"])
    assert ending(night.ended("in a link")) == ("CANCELLED", "cancelled", 143, 143)
    assert night.told("in a link", 2) == ("cancelled", 143, 15)


@pytest.mark.long
def test_cancelled_as_it_asks_for_the_next_link(night: Night) -> None:
    # Cancelled while it saves: SLURM would take the requeue of a cancelled job, and begin it again.
    saves = f"echo saving; {UNTIL_LET_GO}; exit 0"
    script = f"trap '{saves}' USR1; trap '' TERM; echo running; while :; do sleep 0.1; done"
    night.submit("saving", script, continue_after_limit=3)
    night.wait_for_word("saving", "running")
    warn(night, "saving")
    night.wait_for_word("saving", "saving")
    # What does not end by itself is killed after 2 s.
    run = night.runs["saving"]
    night.small.on_box(f"scancel {run.job_id}; touch {run.run_dir}/attempt-1/out/go")
    run = night.ended("saving")
    assert (run.status.state, run.status.reason) == (State.CANCELLED, "cancelled")
    assert not night.result("saving")["continues"]


@pytest.mark.long
def test_each_task_of_an_array_goes_on_by_itself(night: Night) -> None:
    script = f'if [ "$SLURM_ARRAY_TASK_ID" = 1 ]; then {COUNTS}; else echo fine; fi'
    night.submit("array", script, array="1,2", continue_after_limit=3)
    log = f"{night.runs['array'].run_dir}/task-1/attempt-1/log"
    night.wait(lambda: "step 1" in night.small.on_box(f"cat {log} 2>/dev/null || true"), "the first task")
    night.wait(lambda: night.runs["array"].task_statuses[2].state.is_over, "the second task")
    warn(night, "array", "_1")
    night.wait(lambda: night.runs["array"].task_statuses[1].link == 2, "the next link")
    assert night.runs["array"].task_statuses[2].link == 1
    with night.small.connect() as host:
        night.runs["array"] = cancel(host, night.runs["array"])
    night.ended("array")
    assert night.small.on_box(f"ls {night.runs['array'].run_dir}/task-2").split() == ["attempt-1"]


@pytest.mark.parametrize("ends", others_long(["cancelled", "limit"], "cancelled"))
def test_output_on_the_nodes_disk_is_brought_at_every_ending(night: Night, ends: str) -> None:
    """KillWait is 2 s on the box."""
    site = night.small.choice.site
    paths = site.paths.model_copy(update={"node_local": "/dev/shm"})
    site = site.model_copy(update={"paths": paths, "output": "node-local"})
    # It knows of no signal, or has a moment to save as it is told to stop.
    saves = "trap 'echo saved >/out/saved; exit 0' TERM; " if ends == "cancelled" else ""
    goes_on = 'if [ -n "$SLIPWAY_PREVIOUS" ]; then cp -r "$SLIPWAY_PREVIOUS"/. /out/; exit 0; fi; '
    script = (
        f"{goes_on}mkdir /out/maps; echo 1 >/out/maps/a; {saves}echo running; while :; do sleep 0.1; done"
    )
    night.submit(f"disk, {ends}", script, site=site, continue_after_limit=2)
    run = night.runs[f"disk, {ends}"]
    night.wait_for_word(f"disk, {ends}", "running")
    assert night.small.on_box(f"ls {run.run_dir}/attempt-1/out") == ""
    if ends == "cancelled":
        night.small.on_box(f"scancel {run.job_id}")
        assert ending(night.ended(f"disk, {ends}"))[:2] == ("CANCELLED", "cancelled")
        assert night.file(f"disk, {ends}", "attempt-1/out/saved") == "saved\n"
    else:
        # The limit is over by now.
        night.small.as_root("scontrol", "update", f"jobid={run.job_id}", "timelimit=1")
        night.wait(lambda: night.is_over_or_hurried(f"disk, {ends}"), "the end of the second link")
        assert ending(night.runs[f"disk, {ends}"]) == ("COMPLETED", "ok", 0, 0)
        assert night.told(f"disk, {ends}") == ("time-limit", 143, 15)
        assert night.file(f"disk, {ends}", "attempt-2/out/maps/a") == "1\n"
    assert night.file(f"disk, {ends}", "attempt-1/out/maps/a") == "1\n"
    assert night.result(f"disk, {ends}")["note"] == ""
    assert night.small.on_box("ls /dev/shm/slipway-*/out") == ""


def test_where_slurm_refuses_to_requeue_it_is_told(night: Night) -> None:
    night.submit("refused", WAITS, continue_after_limit=3)
    night.wait_for_word("refused", "running")
    night.small.as_root("scontrol", "update", f"jobid={night.runs['refused'].job_id}", "requeue=0")
    warn(night, "refused")
    run = night.ended("refused")
    assert (run.status.reason, run.status.exit_code, run.status.wait_code) == ("time-limit", 0, 1)
    assert str(run.status.note).startswith("no next link: Requested operation is presently disabled for job ")


@pytest.mark.long
def test_three_limits_and_then_its_own_end(night: Night) -> None:
    night.wait(lambda: night.is_over_or_hurried("three"), "the end of three links")
    run = night.runs["three"]
    assert ending(run) == ("COMPLETED", "ok", 0, 0)
    link = run.status.link
    # On a busy machine the warning, which may be up to a minute early, comes before a program has begun.
    assert link in (4, 5, 6)
    assert (run.status.links, run.status.note) == (6, f"link {link} of at most 6")
    told = [night.told("three", attempt)[0] for attempt in range(1, link + 1)]
    assert told == ["time-limit"] * (link - 1) + ["ok"]
    pieces: list[str] = []
    with night.small.connect() as host:
        LogTail(run, pieces.append).finish(host)
    text = "".join(pieces)
    assert [f"step {step}" in text for step in (1, 2, 3, 4)] == [True] * 4
    assert f"--- attempt {link} ---" in text
    assert night.file("three", f"attempt-{link}/out/figures") == "done\n"


@pytest.mark.long
def test_preempted_then_ended_by_its_limit_and_then_whole(night: Night) -> None:
    ended = f"{night.runs['preempted'].run_dir}/attempt-2/result.json"
    night.wait(lambda: bool(night.small.on_box(f"ls {ended} 2>/dev/null || true")), "its time limit")
    # Of a limit of a minute SLURM warns at once: on a busy machine before the next link's script has begun.
    job = night.runs["preempted"].job_id
    night.small.as_root("scontrol", "update", f"jobid={job}", "timelimit=10", code=None)
    night.wait(lambda: night.has_come_to_an_end("preempted"), "its end")
    run: Run = night.runs["preempted"]
    assert ending(run) == ("COMPLETED", "ok", 0, 0)
    assert (run.status.link, run.status.links) == (2, 6)
    assert [night.told("preempted", attempt)[0] for attempt in (1, 2, 3)] == ["preempted", "time-limit", "ok"]
    assert night.file("preempted", "attempt-3/log") == "attempt-1\nattempt-2\nattempt-3\n"
