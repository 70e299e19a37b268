"""What one look at a large sweep costs: python -m bench.many [--elements 100 10000] [--delays 0 1000].

The box is started, and its SLURM is simulated: programs stand in the place of `squeue` and `sacct`, and print
what SLURM would of so many elements, in arrays of 1,000. Their folders and files are there. A proxy in a
process of its own delays all bytes by half of the round trip, each way.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from bench.login import INVOKE, ROOT, line
from bench.status import make_project, make_run
from bench.tab import measure
from slipway.host.host import Host
from slipway.job.record import format_run
from slipway.job.run import Run, Status
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.scheduler.base import State
from slipway.steps.box import box_down, box_up
from slipway.steps.session import Session
from slipway.sweep.record import Place, Sweep, SweepElement, SweepStore

ARRAY = 1000
# Of 100 elements of an array: done, failed, running; the others wait.
DONE, FAILED, RUNNING = 60, 61, 65
RESULT = '{"exit_code": %d, "signal": null, "reason": "%s", "start": 1000, "end": 1060}'
# They note that they were called, and print what was made for these runs.
FAKE = "#!/bin/sh\necho {0} >>~/sim/called\ncat ~/sim/{0}\n"
LOOKS = ("`status --sweep`, the first", "`status --sweep`, the next", "`monitor --dry-run`")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What a command has cost: seconds, those of a processor, and how often SLURM's programs were called."""

    wall_s: float
    cpu_s: float
    called: int


class Many:
    """A sweep of so many elements, here and on the box."""

    def __init__(self, project: Path, host: Host, scratch: str, elements: int) -> None:
        make_project(project, 0)
        self.project, self.elements = project, elements
        self._sweep = f"many{elements}"
        tasks = [min(ARRAY, elements - first) for first in range(0, elements, ARRAY)]
        self.runs = [self._run(scratch, number, count) for number, count in enumerate(tasks)]
        self._host = host
        for run in self.runs:
            make_folders(host, run)
        places = [Place(run_id=run.run_id, task=task) for run in self.runs for task in run.task_indices]
        sweep = Sweep(
            sweep_id=self._sweep,
            name=None,
            profile="base",
            site="hpc",
            submitted=self.runs[0].submitted.isoformat(),
            args=("--number", "{number}"),
            elements=tuple(
                SweepElement(values={"number": str(number)}, identity=f"{number:064}", place=place)
                for number, place in enumerate(places)
            ),
        )
        SweepStore(project / ".slipway" / "sweeps").save(sweep)

    def _run(self, scratch: str, number: int, count: int) -> Run:
        run = make_run(self.elements * 100 + number)
        return replace(
            run,
            job_id=str(1000 + number),
            run_dir=f"{scratch}/slipway/runs/{run.run_id}",
            status=Status(state=State.PENDING),
            task_indices=tuple(range(count)),
            elements={task: {"number": str(number * ARRAY + task)} for task in range(count)},
            sweep=self._sweep,
        )

    def prepare(self, look: str, config: Path) -> None:
        """Have the simulated SLURM know these runs; before the first look, nothing is known here of them."""
        (self.project / "cluster" / "hpc.yaml").write_text(
            f"login: {{host: box, ssh_config: {config}}}\nscheduler: slurm\npaths: {{scratch: $SCRATCH}}\n"
        )
        if look == LOOKS[0]:
            for run in self.runs:
                file = self.project / ".slipway" / "runs" / f"{run.run_id}.json"
                file.write_text(format_run(run, local=True))
        for program, rows in (("squeue", queue_rows), ("sacct", accounting_rows)):
            text = "".join(row for run in self.runs for row in rows(run))
            self._host.check(["sh", "-c", f"rm -f ~/sim/called; cat >~/sim/{program}"], stdin=text)

    def look(self, look: str) -> tuple[float, float]:
        """One look: seconds, and seconds of a processor."""
        task = ["monitor", "--sweep", self._sweep, "--dry-run"]
        if look != LOOKS[2]:
            task = ["status", "--sweep", self._sweep, "--json"]
        return measure([*INVOKE, *task], self.project)

    def cost(self, look: str, config: Path) -> Cost:
        """What one look costs."""
        self.prepare(look, config)
        wall_s, cpu_s = self.look(look)
        called = self._host.check(["sh", "-c", "cat ~/sim/called"]).stdout.split()
        return Cost(wall_s=wall_s, cpu_s=cpu_s, called=len(called))


def state_of(task: int) -> str:
    place = task % 100
    words = ((DONE, "COMPLETED"), (FAILED, "FAILED"), (RUNNING, "RUNNING"))
    return next((word for end, word in words if place < end), "PENDING")


def queue_rows(run: Run) -> Iterator[str]:
    if run.job_id == "1000":
        yield "slipway|JOBID|NAME|STATE|TIME|TIME_LIMIT|START_TIME|NODELIST|REASON\n"
    rows = {"RUNNING": "RUNNING|0:30|10:00|1000|node1|None", "PENDING": "PENDING|0:00|10:00|N/A||Resources"}
    for task in run.task_indices:
        if row := rows.get(state_of(task)):
            yield f"slipway|{run.job_id}_{task}|{run.run_id}|{row}\n"


def accounting_rows(run: Run) -> Iterator[str]:
    for task in run.task_indices:
        ending = {"COMPLETED": "0:0|60|00:10:00|1000|1060|node1", "FAILED": "1:0|60|00:10:00|1000|1060|node1"}
        rest = ending.get(state_of(task), "0:0|30|00:10:00|1000|Unknown|node1")
        if state_of(task) != "PENDING":
            yield f"{run.job_id}_{task}|{run.run_id}|{state_of(task)}|{rest}\n"
    waiting = ",".join(str(task) for task in run.task_indices if state_of(task) == "PENDING")
    yield f"{run.job_id}_[{waiting}]|{run.run_id}|PENDING|0:0|0|00:10:00|Unknown|Unknown|None assigned\n"


def make_folders(host: Host, run: Run) -> None:
    """What the job scripts of those that have begun have left."""
    script = """mkdir -p "$1" && cd "$1" && while read -r task word; do
        mkdir -p task-$task/attempt-1/out; echo "some words" >task-$task/attempt-1/log
        case $word in
        COMPLETED) echo "$2" ;;
        FAILED) echo "$3"; echo "ValueError: it is wrong" >task-$task/attempt-1/log ;;
        *) continue ;;
        esac >task-$task/attempt-1/result.json
    done"""
    begun = [task for task in run.task_indices if state_of(task) != "PENDING"]
    argv = ["sh", "-c", script, "sh", run.run_dir, RESULT % (0, "ok"), RESULT % (1, "program-error")]
    host.check(argv, stdin="".join(f"{task} {state_of(task)}\n" for task in begun))


@contextmanager
def simulated(host: Host) -> Iterator[None]:
    """Programs in the place of SLURM's, by the PATH of the user's login shell."""
    profile = ". ~/.profile; PATH=~/sim/bin:$PATH"
    host.check(["sh", "-c", f"mkdir -p ~/sim/bin; echo '{profile}' >~/.bash_profile"])
    for program in ("squeue", "sacct"):
        file = f"~/sim/bin/{program}"
        host.check(["sh", "-c", f"cat >{file}; chmod 755 {file}"], stdin=FAKE.format(program))
    yield


def compare(
    many: Sequence[Many], config: str, folder: Path, delays: Sequence[int], times: int
) -> Mapping[tuple[int, str, int], list[Cost]]:
    """All looks in turn, so that what else the machine does is in all of them."""
    costs: dict[tuple[int, str, int], list[Cost]] = {}
    for delay_ms in delays:
        with line(config, delay_ms, folder) as file:
            for _ in range(times):
                for look in LOOKS:
                    for one in many:
                        cost = one.cost(look, file)
                        costs.setdefault((one.elements, look, delay_ms), []).append(cost)
                        print(one.elements, look, delay_ms, cost, file=sys.stderr)
    return costs


def print_table(costs: Mapping[tuple[int, str, int], list[Cost]], delays: Sequence[int]) -> None:
    """The first of the numbers of elements counts as 1; what the longest delay has added are round trips."""
    least, most = min(delays), max(delays)
    fewest = next(iter(costs))[0]
    print("| elements | | time | ratio | of a processor | ratio | calls of SLURM | round trips |")
    print("|--:|---|--:|--:|--:|--:|--:|--:|")
    for elements, look in dict.fromkeys(key[:2] for key in costs):
        wall_s, cpu_s = middle(costs[elements, look, least])
        wall, cpu = ratios(costs[elements, look, least], costs[fewest, look, least])
        cells = [f"{wall_s:.2f} s", f"{wall:.2f}", f"{cpu_s:.2f} s", f"{cpu:.2f}"]
        cells.append(str(max(one.called for one in costs[elements, look, least])))
        added_s = middle(costs[elements, look, most])[0] - wall_s
        cells.append(f"{added_s / (most - least) * 1000:.0f}" if most > least else "")
        print("| " + " | ".join([str(elements), look, *cells]) + " |")


def ratios(some: Sequence[Cost], others: Sequence[Cost]) -> tuple[float, float]:
    """How many times as long; each is compared with the one of its own turn."""
    pairs = list(zip(some, others, strict=True))
    wall = statistics.median(one.wall_s / other.wall_s for one, other in pairs)
    return wall, statistics.median(one.cpu_s / other.cpu_s for one, other in pairs)


def middle(some: Sequence[Cost]) -> tuple[float, float]:
    return statistics.median(one.wall_s for one in some), statistics.median(one.cpu_s for one in some)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--elements", type=int, nargs="+", default=[100, 10_000])
    parser.add_argument("--delays", type=int, nargs="*", default=[0, 1000])
    parser.add_argument("--times", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        folder = Path(name)
        # Not among the logins of whoever runs this.
        os.environ["XDG_RUNTIME_DIR"] = name
        project = Project(root=ROOT, state=folder / "state", results=folder / "results")
        session = Session(project=project, progress=NullProgress())
        box_up(session)
        try:
            config = (folder / "state" / "box" / "ssh_config").read_text()
            with session.connect(session.site("box")) as host, simulated(host):
                scratch = host.check(["bash", "-lc", "echo $SCRATCH"]).stdout.strip()
                many = [Many(folder / str(count), host, scratch, count) for count in options.elements]
                print_table(compare(many, config, folder, options.delays, options.times), options.delays)
        finally:
            box_down(session, purge=False)


if __name__ == "__main__":
    main()
