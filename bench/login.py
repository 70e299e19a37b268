"""What a kept login saves: python -m bench.login [--delays 0 100] [--times 10] [--megabytes 200].

`invoke status` with a run that is not over, on the box, from the start of Python to its end: with a login of
its own, and by one that is kept, over lines that delay all bytes. Beside it OpenSSH's `ssh HOST squeue`,
alone and through a ControlMaster. Then a large file over the line without delay, both ways. All take turns.
"""

import argparse
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path, PurePosixPath

from bench.status import make_project, make_run
from bench.tab import measure
from slipway.host.host import connect
from slipway.job.record import format_run
from slipway.job.run import Status
from slipway.multiplex.kept import end_kept, list_kept
from slipway.scheduler.base import State
from slipway.site import Login
from slipway.transfer.rsync import Rsync
from slipway.transfer.sftp.sftp import Sftp
from tests.integration.files_host import Proxy

ROOT = Path(__file__).parents[1]
INVOKE = [sys.executable, "-m", "invoke"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--delays", type=int, nargs="*", default=[0, 100])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--megabytes", type=int, default=200)
    parser.add_argument("--proxy", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.proxy:
        print(Proxy(options.proxy, delay_s=options.delays[0] / 2000).port, flush=True)
        sys.stdin.read()
        return
    config = (ROOT / ".slipway" / "box" / "ssh_config").read_text()
    with tempfile.TemporaryDirectory(dir="/tmp") as name:
        # Not among the logins of whoever runs this.
        os.environ["XDG_RUNTIME_DIR"] = name
        print("| round trip | | time | ratio | of a processor | ratio |\n|--:|---|--:|--:|--:|--:|")
        for delay_ms in options.delays:
            with line(config, delay_ms, Path(name)) as file:
                compare(Path(name) / f"project-{delay_ms}", file, delay_ms, options.times)
        print(f"\n| {options.megabytes} MB, no delay | own login | kept | ratio |\n|---|--:|--:|--:|")
        with line(config, 0, Path(name)) as file:
            transfer(Path(name), file, options.megabytes, max(3, options.times // 3))


@contextmanager
def line(config: str, delay_ms: int, folder: Path) -> Iterator[Path]:
    """An ssh_config that leads to the box over a line with a delay."""
    (port,) = re.findall(r"Port (\d+)", config)
    # In a process of its own, so that it takes no time from this one's threads.
    argv = [sys.executable, "-m", "bench.login", "--proxy", port, "--delays", str(delay_ms)]
    proxy = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    file = folder / f"config-{delay_ms}"
    here = int(next(iter(proxy.stdout or ())))
    file.write_text(config.replace(f"Port {port}", f"Port {here}"))
    try:
        yield file
    finally:
        for kept in list_kept():
            end_kept(kept.path)
        proxy.communicate()


def compare(project: Path, config: Path, delay_ms: int, times: int) -> None:
    make_project(project, 10)
    (project / "cluster" / "hpc.yaml").write_text(
        f"login: {{host: box, ssh_config: {config}}}\nscheduler: slurm\npaths: {{scratch: $SCRATCH}}\n"
    )
    # A run that is not over, so that its site is asked; the job's number is one that no box comes to.
    run = replace(make_run(99), job_id="999999", status=Status(state=State.PENDING))
    record = project / ".slipway" / "runs" / f"{run.run_id}.json"
    master = config.with_suffix(".master")
    ssh = ["ssh", "-F", str(config)]
    squeue = ["box", "squeue"]

    def status(kept: bool) -> tuple[float, float]:
        record.write_text(format_run(run, local=True))
        task = [*INVOKE, "login", "hpc"] if kept else [*INVOKE, "logout"]
        subprocess.run(task, cwd=project, check=True, capture_output=True)
        return measure([*INVOKE, "status"], project)

    ways: Mapping[str, Callable[[], tuple[float, float]]] = {
        "`status`, own login": lambda: status(False),
        "`status`, kept login": lambda: status(True),
        "`ssh squeue`": lambda: measure([*ssh, "-S", "none", *squeue], project),
        "`ssh squeue`, ControlMaster": lambda: measure([*ssh, "-S", str(master), *squeue], project),
    }
    subprocess.run([*ssh, "-M", "-S", str(master), "-N", "-f", "box"], check=True)
    try:
        took: dict[str, list[tuple[float, float]]] = {way: [] for way in ways}
        for _ in range(times):
            for way, act in ways.items():
                took[way].append(act())
    finally:
        subprocess.run([*ssh, "-S", str(master), "-O", "exit", "box"], check=True, capture_output=True)
    first = next(iter(ways))
    for way, both in took.items():
        wall_s, cpu_s = (statistics.median(one[place] for one in both) for place in (0, 1))
        wall, cpu = (
            statistics.median(
                mine[place] / other[place] for mine, other in zip(both, took[first], strict=True)
            )
            for place in (0, 1)
        )
        print(
            f"| {delay_ms} ms | {way} | {wall_s:.2f} s | {wall:.2f} | {cpu_s:.2f} s | {cpu:.2f} |", flush=True
        )


def transfer(folder: Path, config: Path, megabytes: int, times: int) -> None:
    (folder / "up").mkdir()
    (folder / "up" / "file").write_bytes(os.urandom(megabytes * 1_000_000))
    there = PurePosixPath("/tmp/bench-login")  # noqa: S108 - of the box
    logins = [Login(host="box", ssh_config=str(config), share=share) for share in (False, True)]
    rows: dict[str, list[list[float]]] = {}
    for _ in range(times):
        for login in logins:
            if not login.share:
                for kept in list_kept():
                    end_kept(kept.path)
            with connect(login, folder) as host:
                host.check(["mkdir", "-p", str(there)])
                for name, carrier in (("rsync", Rsync(host)), ("SFTP", Sftp(host, 2))):
                    for way in ("send", "fetch"):
                        host.check(["sh", "-c", f"test {way} = fetch || rm -rf {there}/*"])
                        began = time.monotonic()
                        if way == "send":
                            carrier.send_tree(folder / "up", there)
                        else:
                            subprocess.run(["rm", "-rf", str(folder / "down")], check=True)
                            carrier.fetch_tree(there, folder / "down")
                        rows.setdefault(f"{name}, {way}", [[], []])[login.share].append(
                            time.monotonic() - began
                        )
    for name, (alone, kept_s) in rows.items():
        ratio = statistics.median(mine / other for mine, other in zip(kept_s, alone, strict=True))
        medians = " | ".join(f"{statistics.median(took):.2f} s" for took in (alone, kept_s))
        print(f"| {name} | {medians} | {ratio:.2f} |", flush=True)


if __name__ == "__main__":
    main()
