"""Many elements on the box with a real SLURM, under a monitor and a throttle, while some fail in each way."""

import json
import subprocess
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime

import pytest

from slipway.job.run import Reason
from slipway.report.sweep_table import element_states
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.steps.box import box_up
from slipway.steps.find import find_sweep
from slipway.steps.session import Choice
from slipway.steps.submit import Push
from slipway.steps.sweep import sweep_submitted
from slipway.steps.sweep_arrays import SweepRequest
from slipway.sweep.record import Sweep
from slipway.sweep.spec import SweepSpec
from tests.campaign import rounds
from tests.integration.small_image import SmallImageBox
from tests.integration.test_monitor import Sweeps, numbers, open_site, runs, start
from tests.waiting import wait_until

ELEMENTS = rounds(60, 12)
THROTTLE = rounds(6, 3)
# What fails the first time does not where there is something of an earlier try.
PROGRAM = r"""
first=; [ -e /previous/tried ] || first=yes
date >/out/tried
case $1 in
ok) sleep 1 ;;
memory) exec perl -e '$x = "a" x 70_000_000; sleep 1; print "enough\n"' ;;
files) sleep 1; [ -z "$first" ] || { echo "cat: /data/x: Stale file handle" >&2; exit 1; } ;;
program) echo "ValueError: it is wrong" >&2; exit 3 ;;
waits) echo running; [ -z "$first" ] || until [ -e /out/go ]; do sleep 0.2; done ;;
esac
"""
# These wait until their nodes are taken from them.
PUSHED, LOST = 0, ELEMENTS // 2
FAIL = ("files", "program", "memory")


@pytest.mark.long
@pytest.mark.fault("cluster", "node lost")
def test_a_throttle_holds_while_elements_fail_and_run_again(small: SmallImageBox) -> None:
    if box_up(small.session).memory_limits is None:
        pytest.skip("SLURM does not enforce memory limits in this box")
    sweeps = Sweeps(small)
    kinds = [FAIL[n // 3 % 3] if n % 3 == 1 else "ok" for n in range(ELEMENTS)]
    kinds[PUSHED] = kinds[LOST] = "waits"
    with more_slots(small):
        sweep = submit(small, kinds)
        [run_id] = sweep.run_ids
        small.as_root("scontrol", "update", f"jobid={small.look(run_id).job_id}", "requeue=0")
        with start(sweeps, sweep) as monitor:
            for number, take in ((PUSHED, push_aside), (LOST, lose_node)):
                node = wait_until(lambda n=number: node_of(small, run_id, n), lambda: small.as_root("squeue"))
                take(small, node)
            said = json.loads(printed(small, monitor))
        # On the node that was lost, the old program lives.
        small.as_root("touch", f"{small.look(run_id).run_dir}/task-{LOST}/attempt-1/out/go")
    programs = kinds.count("program")
    assert said["counts"] == {"ok": ELEMENTS - programs, "stopped": programs}, said["words"]
    now = find_sweep(small.session, sweep.sweep_id)
    tries = accounted(small, now)
    print(Counter(one.state for one in tries), most_at_once(tries), Counter(one.node for one in tries))
    assert most_at_once(tries) <= THROTTLE
    # Each has ended well once, or was stopped with its reason.
    well = Counter(one.place for one in tries if one.state == "COMPLETED")
    reasons = Counter()
    for kind, one, state in zip(kinds, now.elements, element_states(now, runs(sweeps, now)), strict=True):
        assert one.place is not None
        done = [well[place.run_id, place.task] for place in (*one.tries, one.place)]
        assert done == [*([0] * len(one.tries)), int(kind != "program")], (one, tries)
        assert (state.is_ok, state.has_failed) == (kind != "program", kind == "program")
        if kind == "program":
            # It may have been on the node that was lost; what it did itself, it did once.
            assert state.status is not None
            assert state.status.reason == Reason.PROGRAM_ERROR
            places = {(place.run_id, place.task) for place in (*one.tries, one.place)}
            assert [tried.state for tried in tries if tried.place in places].count("FAILED") == 1
        elif kind != "ok":
            assert len(one.tries) >= 1, one
        reasons[kind] += len(one.tries)
    print(reasons)
    # Nothing has begun that is not written down. What SLURM itself has requeued is there as an attempt more.
    begun = Counter(str(one.place[1]) for one in tries)
    assert sweeps.starts(now) <= begun


def submit(small: SmallImageBox, kinds: Sequence[str]) -> Sweep:
    profile = small.choice.profile.model_copy(update={"program": ("sh", "-c", PROGRAM, "sh")})
    spec = SweepSpec(
        args=("{kind}", "{n}"), zip=({"kind": tuple(kinds), "n": numbers(kinds)},), throttle=THROTTLE
    )
    request = SweepRequest(
        choice=Choice(profile=profile, site=open_site(small)),
        spec=spec,
        resources=SlurmResources(partition="scavenge", cpus=1, mem="100M", time="10"),
        again=True,
    )
    with sweep_submitted(small.session, request, Push.NEVER) as done:
        return done.sweep


@contextmanager
def more_slots(small: SmallImageBox) -> Iterator[None]:
    """Two jobs a core, so that the nodes have room for more than a throttle lets through."""
    small.as_root("scontrol", "update", "partitionname=scavenge", "oversubscribe=force:2")
    try:
        yield
    finally:
        small.as_root("scontrol", "update", "partitionname=scavenge", "oversubscribe=no")


def node_of(small: SmallImageBox, run_id: str, task: int) -> str | None:
    """The node of an element that waits, once its program runs; it may be there for the second time."""
    folder = small.look(run_id).run_dir
    if not small.is_so(f"grep -qx running {folder}/task-{task}/attempt-1/log"):
        return None
    job = f"{small.look(run_id).job_id}_{task}"
    return small.on_box(f"squeue -h -j {job} -o %N").strip() or None


def printed(small: SmallImageBox, monitor: subprocess.Popen[str]) -> str:
    """What the monitor has printed at its end."""

    def at_its_end() -> str | None:
        # What was submitted again may be requeued by SLURM itself, which then waits for two minutes.
        for line in small.as_root("squeue", "-h", "-r", "-t", "PD", "-o", "%i %r").splitlines():
            job, _, reason = line.partition(" ")
            if reason == "BeginTime":
                small.hurry(job)
        return None if monitor.poll() is None else monitor.communicate()[0]

    for _ in range(4):
        with suppress(AssertionError):
            return wait_until(at_its_end, "the end of the monitor", pause_s=1)
    raise AssertionError(small.as_root("squeue"))


def lose_node(small: SmallImageBox, node: str) -> None:
    """The node dies with all that is on it, and comes back."""
    small.as_root("pkill", "-KILL", "-f", f"^slurmd -N {node}$")
    small.as_root("scontrol", "update", f"nodename={node}", "state=down", "reason=trial")
    small.as_root("slurmd", "-N", node)
    small.as_root("scontrol", "update", f"nodename={node}", "state=resume", code=None)


def push_aside(small: SmallImageBox, node: str) -> None:
    """A job of a partition that goes before takes the node."""
    wanted = SlurmResources(partition="priority", cpus=2, mem="100M", sbatch=(f"--nodelist={node}",))
    with small.connect() as host:
        pusher = small.submit(host, "sleep", "2", wanted=wanted, site=open_site(small))
    small.wait_for(pusher)


@dataclass(frozen=True)
class Try:
    """One try of an element, by SLURM's accounting."""

    place: tuple[str, int]
    state: str
    start: datetime
    end: datetime
    node: str


def accounted(small: SmallImageBox, sweep: Sweep) -> list[Try]:
    """All tries of a sweep that began, once accounting has the ends of all."""
    ids = {place.run_id for one in sweep.elements for place in (*one.tries, *filter(None, [one.place]))}
    names = ",".join(sorted(ids))

    def read() -> list[Try] | None:
        rows = small.on_box(
            f"sacct -X -D -n -P --name={names} -o JobName,JobID,State,Start,End,NodeList"
        ).splitlines()
        found = [row.split("|") for row in rows]
        begun = [one for one in found if one[3] not in ("None", "Unknown")]
        if any(one[4] == "Unknown" for one in begun):
            return None
        return [
            Try(
                place=(name, int(job.partition("_")[2])),
                state=state.split()[0],
                start=datetime.fromisoformat(began),
                end=datetime.fromisoformat(ended),
                node=node,
            )
            for name, job, state, began, ended, node in begun
        ]

    return wait_until(read, "the ends in accounting")


def most_at_once(tries: Sequence[Try]) -> int:
    """How many ran at once; one that ends in the second in which another begins makes room for it."""
    return max(sum(other.start <= one.start < other.end for other in tries) for one in tries)
