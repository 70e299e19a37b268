"""What `invoke status` costs with many records: python -m bench.status [--runs 10 10000] [--times 20].

All runs are over, so that nobody is asked. It needs no Docker.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from pathlib import Path

from bench.tab import measure
from slipway.hash_cache import RACY_NS
from slipway.job.record import format_run
from slipway.job.run import Run, Status
from slipway.scheduler.base import State

STATUS = [sys.executable, "-m", "invoke", "status"]
WITHOUT = "without an index"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, nargs="+", default=[10, 10_000])
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        projects = {runs: make_project(Path(name) / str(runs), runs) for runs in options.runs}
        # What was just written is read again, since a change may not be seen.
        time.sleep(RACY_NS / 1e9 + 1)
        ways = [*((runs, "") for runs in options.runs), (max(options.runs), WITHOUT)]
        took: dict[tuple[int, str], list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(options.times):
            # They take turns, so that what else the machine does is in all of them.
            for runs, label in ways:
                took[runs, label].append(look(projects[runs], with_index=not label))
    print("| records | | time | ratio | of a processor | ratio |\n|--:|---|--:|--:|--:|--:|")
    least = took[ways[0]]
    for way, both in took.items():
        (wall_s, cpu_s), (wall, cpu) = medians(both), ratios(both, least)
        print(f"| {way[0]} | {way[1]} | {wall_s:.2f} s | {wall:.2f} | {cpu_s:.2f} s | {cpu:.2f} |")


def look(project: Path, *, with_index: bool) -> tuple[float, float]:
    """One `invoke status`: seconds, and seconds of a processor."""
    index = project / ".slipway" / "runs.index"
    if with_index and not index.exists():
        measure(STATUS, project)
    if not with_index:
        index.unlink(missing_ok=True)
    return measure(STATUS, project)


def medians(both: Sequence[tuple[float, float]]) -> tuple[float, float]:
    wall_s, cpu_s = map(statistics.median, zip(*both, strict=True))
    return wall_s, cpu_s


def ratios(both: Sequence[tuple[float, float]], least: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """How many times as long; each time is compared with the one of its own turn."""
    pairs = zip(both, least, strict=True)
    return medians([(mine[0] / other[0], mine[1] / other[1]) for mine, other in pairs])


def make_project(folder: Path, runs: int) -> Path:
    for name in ("env", "cluster", ".slipway/runs"):
        (folder / name).mkdir(parents=True)
    (folder / "env" / ".env.base").touch()
    (folder / "tasks.py").write_text(
        "from slipway.tasks import slipway_tasks\nns = slipway_tasks(__file__)\n"
    )
    for number in range(runs):
        run = make_run(number)
        (folder / ".slipway" / "runs" / f"{run.run_id}.json").write_text(format_run(run, local=True))
    return folder


def make_run(number: int) -> Run:
    """A run that is over, with a record of 5 kB, as those of the payload have."""
    run_id = f"{number:05}-cpu-20260101-{number:06}"
    return Run(
        run_id=run_id,
        site="hpc",
        profile="cpu",
        submitted=datetime(2026, 1, 1, tzinfo=timezone.utc) + timedelta(minutes=number),
        program=("python3", "-m", "slam"),
        args=("--dataset", "room", "--number", str(number)),
        commit="c0" * 20,
        dirty=False,
        image_id=f"sha256:{'1' * 64}",
        sif="/scratch/slipway/images/cpu-1.sif",
        sif_sha256="1" * 64,
        code="c0de" * 16,
        resources={"time": "1:00:00", "cpus": 4, "mem": "16G"},
        profile_values={f"key_{key}": "a value of some length" for key in range(40)},
        site_values={f"key_{key}": "a value of some length" for key in range(40)},
        run_dir=f"/scratch/slipway/runs/{run_id}",
        job_id=str(number + 1),
        status=Status(state=State.COMPLETED, reason="ok", exit_code=0, elapsed_s=number),
    )


if __name__ == "__main__":
    main()
