"""A cluster for the monitor's program: a scratch, and stand-ins for SLURM's programs, which are no more."""

import json
import os
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any

import pytest

from slipway.host.scratch import Scratch
from slipway.job.elements import Element, element_files
from slipway.job.record import format_run, parse_run
from slipway.job.run import Run
from slipway.job.template import load_template
from slipway.model import read_values
from slipway.monitor.ladder import LadderMaker
from slipway.monitor.order import MonitorJob, OrderedElement, OrderMaker
from slipway.monitor.rule import Rules
from slipway.monitor.spending import Budget
from slipway.scheduler.limits import check_partition
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths, Queue
from tests.unit.test_run import make_run

TEMPLATE = load_template(Path(__file__).parents[2] / "cluster")
RULES = read_values(Rules, {"gpu_ladder": ("rtx:1", {"gpus": "a100:1", "partition": "big"})})
HEADER = "slipway|JOBID|NAME|STATE|TIME|TIME_LIMIT|START_TIME|NODELIST|REASON\n"
_SQUEUE = """[ ! -e "$CLUSTER/down" ] || { echo 'slurm_load_jobs error: no answer' >&2; exit 1; }
cat "$CLUSTER/queue"
"""
_SBATCH = """[ ! -e "$CLUSTER/refuse" ] || { echo "sbatch: error: $(cat "$CLUSTER/refuse")" >&2; exit 1; }
[ ! -e "$CLUSTER/die" ] || kill -KILL $PPID
number=$(($(ls "$CLUSTER/jobs" | wc -l) + 100))
printf '%s\\n' "$@" >"$CLUSTER/jobs/$number"
env >"$CLUSTER/environment"
echo $number
"""


def make_site(rules: Rules = RULES, queues: Mapping[str, Queue] | None = None) -> SlurmSite:
    login, paths = Login(host="h"), Paths(scratch="/s")
    return SlurmSite(name="hpc", login=login, paths=paths, monitor=rules, queues=queues or {})


class Cluster:
    """What the program finds there.

    Attributes:
        root: Slipway's folder in scratch.
        folder: what the stand-ins know and were asked.
    """

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root, self.folder = folder / "slipway", folder / "cluster"
        for name in ("images/a-1.sif", "code/c0de/file", "runs/x", "monitors/x"):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.touch()
        for name in ("jobs", "bin"):
            (self.folder / name).mkdir(parents=True)
        scripts = {"squeue": _SQUEUE, "sacct": 'cat "$CLUSTER/accounting"\n', "scontrol": "exit 1\n"}
        for name, script in {
            **scripts,
            "sbatch": _SBATCH,
            "scancel": 'echo "$@" >>"$CLUSTER/gone"\n',
        }.items():
            program = self.folder / "bin" / name
            program.write_text(f"#!/bin/sh\n{script}")
            program.chmod(program.stat().st_mode | stat.S_IXUSR)
        self.say()
        monkeypatch.setenv("PATH", f"{self.folder / 'bin'}:{os.environ['PATH']}")
        monkeypatch.setenv("CLUSTER", str(self.folder))
        monkeypatch.chdir(self.root)
        self.scratch = Scratch(root=PurePosixPath(self.root))

    def say(self, queue: str = "", accounting: str = "") -> None:
        """Have squeue and sacct say so: ``7_0|run|RUNNING`` and ``7_0|run|FAILED|1:0``, a row a line."""
        rows = "".join(f"slipway|{line}|0:10|10:00|N/A|node1|None\n" for line in queue.splitlines())
        (self.folder / "queue").write_text(HEADER + rows)
        ended = "".join(f"{line}|10|00:10:00|1|11|node1\n" for line in accounting.splitlines())
        (self.folder / "accounting").write_text(ended)

    def run(self, run_id: str, tasks: Sequence[int] = (), **changes: Any) -> Run:
        """A run with its files."""
        folder = self.root / "runs" / run_id
        asked = {"time": "10", "mem": "1G", "cpus": 1, **changes.pop("resources", {})}
        if tasks:
            asked["array"] = ",".join(map(str, tasks))
        site_values = make_site().model_dump(mode="json")
        values = {"job_id": "7", "resources": asked, "task_indices": tuple(tasks), "site_values": site_values}
        base = replace(
            make_run(run_id), site="hpc", sif=str(self.root / "images/a-1.sif"), run_dir=str(folder)
        )
        if tasks:
            values["elements"] = {task: {"n": str(task)} for task in tasks}
        run = replace(base, **{**values, **changes})
        folder.mkdir()
        words = element_files(
            ["prog"], [Element(values={}, args=(str(n),)) for n in range(max(tasks, default=0) + 1)]
        )
        files = {"elements": words.words, "elements.index": words.index} if tasks else {"argv": b"prog\0"}
        for name, content in {**files, "environment": b"A=b\0", "run.json": format_run(run).encode()}.items():
            (folder / name).write_bytes(content)
        return run

    def ended(self, run_id: str, task: int | None, reason: str, code: int, log: str = "") -> None:
        """What the script of an attempt leaves."""
        folder = self.root / "runs" / run_id / ("" if task is None else f"task-{task}") / "attempt-1"
        folder.mkdir(parents=True)
        (folder / "log").write_text(log)
        values = {"exit_code": code, "reason": reason, "start": 1, "end": 11, "node": "node1", "job_id": "7"}
        (folder / "result.json").write_text(json.dumps(values))

    def order(
        self,
        runs: Sequence[Run],
        site: SlurmSite | None = None,
        job: MonitorJob | None = None,
        interval_s: float | None = None,
        throttle: int | None = None,
        given: Mapping[str, int] | None = None,
        **budget: Any,
    ) -> dict[str, Any]:
        """An order for all tasks of some runs."""
        ladders = LadderMaker(
            site=site or make_site(),
            scratch=self.scratch,
            template=TEMPLATE,
            budget=Budget(**{"most_tries": 3, **budget}),
            given=given or {},
            check=lambda request: check_partition(request, site or make_site()),
        )
        elements = [
            OrderedElement(label=f"element n={task}", tries=[(run.run_id, task)])
            for run in runs
            for task in run.tasks
        ]
        known = {run.run_id: run for run in runs}
        made = OrderMaker(ladders=ladders).make(elements, known, interval_s, job, throttle)
        values: dict[str, Any] = json.loads(made)
        return values

    def submitted(self) -> list[list[str]]:
        """The options of all jobs that sbatch was given, in order."""
        files = sorted((self.folder / "jobs").iterdir(), key=lambda file: int(file.name))
        return [file.read_text().splitlines() for file in files]

    def record(self, run_id: str) -> Run:
        """A run's record, as Slipway reads it."""
        return parse_run((self.root / "runs" / run_id / "run.json").read_bytes())


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path, monkeypatch)
