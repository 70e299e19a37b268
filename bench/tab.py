"""What Tab costs: python -m bench.tab [--runs 10000] [--times 20].

Beside Invoke's own completion and Python that does nothing, in a project with many records of runs.
"""

import argparse
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

SLIPWAY = str(Path(sys.executable).with_name("slipway"))
WAYS: Mapping[str, Sequence[str]] = {
    "Python that does nothing": [sys.executable, "-c", "pass"],
    "Invoke's own: a task": [sys.executable, "-m", "invoke", "--complete", "--", "invoke jo"],
    "a task": [SLIPWAY, "__complete", "fish", "invoke", "jo"],
    "a run": [SLIPWAY, "__complete", "fish", "invoke", "logs", ""],
    "a partition of the profile's site": [SLIPWAY, "__complete", "fish", "invoke", "job", "--partition", ""],
    "a dataset": [SLIPWAY, "__complete", "fish", "invoke", "job", "--", "--dataset", ""],
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--times", type=int, default=20)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        project = Path(name)
        make_project(project, options.runs)
        # They take turns, so that what else the machine does is in all of them.
        took: dict[str, list[tuple[float, float]]] = {way: [] for way in WAYS}
        for _ in range(options.times + 1):
            for way, argv in WAYS.items():
                took[way].append(measure(argv, project))
    # The first one fills what is kept.
    medians = {
        way: [statistics.median(kind) for kind in zip(*both[1:], strict=True)] for way, both in took.items()
    }
    least = medians["Python that does nothing"]
    print("| what | time | of a processor | ratio |\n|---|--:|--:|--:|")
    for way, (wall_s, cpu_s) in medians.items():
        print(f"| {way} | {wall_s * 1000:.0f} ms | {cpu_s * 1000:.0f} ms | {cpu_s / least[1]:.1f} |")


def measure(argv: Sequence[str], folder: Path) -> tuple[float, float]:
    """Seconds until it has ended, and those of a processor, which others at work do not change as much."""
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, cwd=folder, capture_output=True, check=True)
    took_s, after = time.perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    return took_s, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def make_project(folder: Path, runs: int) -> None:
    for name in ("env", "cluster", ".slipway/runs"):
        (folder / name).mkdir(parents=True)
    (folder / "env" / ".env.base").write_text("SITE=hpc\n")
    (folder / "cluster" / "hpc.yaml").write_text("queues: {gpu: {}, debug: {}}\n")
    (folder / "tasks.py").write_text(
        "from slipway.tasks import slipway_tasks\nns = slipway_tasks(__file__)\n"
    )
    for number in range(runs):
        record = folder / ".slipway" / "runs" / f"{number:05}-cpu-20260101-{number:06}.json"
        record.write_text('{"site": "hpc", "args": ["--dataset", "room"]}' + " " * 4000)


if __name__ == "__main__":
    main()
