"""Ten thousand files to a cluster, as a folder and as one file: time, bytes, and round trips.

    .venv/bin/python -m bench.stage [--files 10000] [--delays 0 100]

The box is started. A folder of files of 4 kB is staged for the first time, then unchanged, then with one of
them changed; as a folder and packed, by rsync and by SFTP, in turn. A proxy in a process of its own delays
all bytes by half of the round trip, each way.

What is printed is a table in Markdown: seconds, how many times as long as a folder by rsync that is,
megabytes, and how many round trips the delay has cost: the seconds that it added, over the round trip.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.dataset.staging import Staged
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.steps import data
from slipway.steps.box import box_down, box_up
from slipway.steps.session import Choice, Session
from tests.integration.files_host import Proxy

ROOT = Path(__file__).resolve().parent.parent
FILE_BYTES = 4000
WAYS = [(carrier, pack) for carrier in ("rsync", "sftp") for pack in (False, True)]
TIMES = ("first", "unchanged", "one changed")


class Bench:
    """A box, and a folder of files."""

    def __init__(self, session: Session, source: Path, files: int) -> None:
        self.session, self.source, self.files = session, source, files
        self.ssh_config = session.project.state / "box" / "ssh_config"
        self._direct = self.ssh_config.read_text()
        for number in range(files):
            path = source / f"{number % 100:02}" / f"{number:06}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(FILE_BYTES))
        # What was written in the last ten seconds is hashed again.
        time.sleep(11)

    def choice(self, carrier: str) -> Choice:
        """The box as a site, with one way to move files."""
        choice = self.session.choose("base", "box", ())
        login = choice.site.login.model_copy(update={"transfer": carrier})
        return Choice(profile=choice.profile, site=choice.site.model_copy(update={"login": login}))

    def change(self) -> None:
        """Write one file anew."""
        (self.source / "50" / "000050").write_bytes(os.urandom(FILE_BYTES))

    def stage(self, carrier: str, *, pack: bool, name: str) -> tuple[float, Staged]:
        """Stage the folder as it is; the seconds that it takes."""
        choice = self.choice(carrier)
        began = time.monotonic()
        if pack:
            staged = data.stage_packed(self.session, choice, self.source, name)
        else:
            staged = data.stage(self.session, choice.site, self.source, name)
        return time.monotonic() - began, staged

    @contextmanager
    def delayed(self, delay_ms: int) -> Iterator[None]:
        """The box behind a proxy."""
        port = re.search(r"Port (\d+)", self._direct)
        assert port is not None  # noqa: S101 - the box writes it
        argv = [sys.executable, "-m", "bench.stage", "--proxy", port[1], "--delays", str(delay_ms)]
        with subprocess.Popen(
            argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
        ) as proxy:
            here = int(next(iter(proxy.stdout or ())))
            self.ssh_config.write_text(self._direct.replace(f"Port {port[1]}", f"Port {here}"))
            try:
                yield
            finally:
                self.ssh_config.write_text(self._direct)
                proxy.communicate()


def main() -> int:
    """Run all ways, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--delays", type=int, nargs="*", default=[0, 100])
    parser.add_argument("--proxy", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.proxy:
        print(Proxy(args.proxy, delay_s=args.delays[0] / 2000).port, flush=True)
        sys.stdin.read()
        return 0
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".slipway") as name:
        folder = Path(name)
        project = Project(root=ROOT, state=folder / "state", results=folder / "results")
        session = Session(project=project, progress=NullProgress())
        box_up(session)
        try:
            bench = Bench(session, folder / "source", args.files)
            print_table(measure(bench, args.delays), args.delays)
        finally:
            box_down(session, purge=False)
    return 0


def measure(bench: Bench, delays: list[int]) -> dict[tuple[int, str, str, bool], tuple[float, Staged]]:
    """Each way, each time, with each delay."""
    costs = {}
    for delay_ms in delays:
        with bench.delayed(delay_ms):
            for when in TIMES:
                if when == "one changed":
                    bench.change()
                for carrier, pack in WAYS:
                    name = f"{carrier}-{'packed' if pack else 'folder'}-{delay_ms}"
                    costs[delay_ms, when, carrier, pack] = cost = bench.stage(carrier, pack=pack, name=name)
                    print(delay_ms, when, carrier, pack, f"{cost[0]:.1f} s", file=sys.stderr)
    return costs


def print_table(costs: dict[tuple[int, str, str, bool], tuple[float, Staged]], delays: list[int]) -> None:
    """The table, with the time of a folder by rsync as 1."""
    print("| round trip | | way | time | ratio | sent | round trips |\n|--:|---|---|--:|--:|--:|--:|")
    for delay_ms in delays:
        for when in TIMES:
            ours = costs[delay_ms, when, "rsync", False][0]
            for carrier, pack in WAYS:
                seconds, staged = costs[delay_ms, when, carrier, pack]
                trips = ""
                if delay_ms and 0 in delays:
                    trips = f"{(seconds - costs[0, when, carrier, pack][0]) / delay_ms * 1000:.0f}"
                way = f"{carrier}, {'packed' if pack else 'folder'}"
                cells = [f"{delay_ms} ms", when, way, f"{seconds:.1f} s", f"{seconds / ours:.2f}"]
                print("| " + " | ".join([*cells, f"{staged.sent_bytes / 1e6:.2f} MB", trips]) + " |")


if __name__ == "__main__":
    sys.exit(main())
