"""From a Docker image to the cluster: Slipway beside Orbit's recipe and beside plain Apptainer, in one run.

    ./run demo                                        makes what this needs
    .venv/bin/python -m bench.push --rate-mbit 100

An image is sent for the first time, then again with 300 kB changed in it, then once more unchanged. All three
convert with the same Apptainer in the same container, and send over a connection of one rate to the same
cluster:

- **Orbit**, as its `container.sh push` has it: `apptainer build --sandbox` from the engine, `tar`, `scp`.
- **Apptainer**, as its manual has it: `apptainer build` from the engine, with its own compression, `scp`.
- **Slipway**: `invoke push`.

Both others keep Apptainer's cache from one time to the next, as they do at home. What is printed is a table
in Markdown: seconds, how many times as long as Slipway that is, and megabytes that were uploaded.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.throttle import LimitedProxy, limited_proxy
from slipway.image.build import build_image
from slipway.image.engine import engine, run_container
from slipway.image.recipe import Recipe
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.store import tools_recipe
from slipway.steps.box import box_down, box_up
from slipway.steps.image import convert as convert_step
from slipway.steps.image import push as push_step
from slipway.steps.session import Choice, Session

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "slipway-bench"
CHANGED_BYTES = 300_000
SOCKET = Path("/var/run/docker.sock")
WAYS = ("Slipway", "Apptainer", "Orbit")
TIMES = ("first", "300 kB changed", "unchanged")


@dataclass(frozen=True, kw_only=True)
class Cost:
    """What one way cost once: seconds to convert, seconds to send, bytes that were uploaded."""

    convert_s: float
    send_s: float
    sent_bytes: int

    @property
    def total_s(self) -> float:
        """Seconds in all."""
        return self.convert_s + self.send_s


class Bench:
    """One cluster, one connection to it, and the three ways."""

    def __init__(self, session: Session, folder: Path, proxy: LimitedProxy, base: str) -> None:
        self.session, self.folder, self.proxy, self.base = session, folder, proxy, base
        self.client = engine()
        self.ssh_config = folder / "ssh_config"
        known = session.project.state / "box" / "ssh_config"
        # The first value counts, so that the box is reached through the proxy.
        self.ssh_config.write_text(f"Host box\n    Port {proxy.port}\nInclude {known.resolve()}\n")
        profile = session.profile("cpu", [f"IMAGE={IMAGE}"])
        site = session.choose("cpu", "box", ()).site
        login = site.login.model_copy(update={"ssh_config": str(self.ssh_config)})
        self.choice = Choice(profile=profile, site=site.model_copy(update={"login": login}))
        self.tools, _ = build_image(self.client, tools_recipe(session.project, profile), NullProgress())

    def make_image(self) -> None:
        """Put another 300 kB into the image."""
        context = self.folder / "context"
        context.mkdir(exist_ok=True)
        (context / "Dockerfile").write_text(f"FROM {self.base}\nCOPY changed /opt/changed\n")
        (context / "changed").write_bytes(os.urandom(CHANGED_BYTES))
        recipe = Recipe(name=IMAGE, dockerfile=context / "Dockerfile", platform="", build_args={})
        build_image(self.client, recipe, NullProgress())

    def measure(self, way: str) -> Cost:
        """Bring the image that there is now to the cluster, one way."""
        convert, send = {"Slipway": self._slipway, "Apptainer": self._apptainer, "Orbit": self._orbit}[way]()
        before, began = self.proxy.up_bytes, time.monotonic()
        convert()
        converted = time.monotonic()
        send()
        ended = time.monotonic()
        return Cost(
            convert_s=converted - began, send_s=ended - converted, sent_bytes=self.proxy.up_bytes - before
        )

    def _slipway(self) -> tuple[Callable[[], object], Callable[[], object]]:
        return lambda: convert_step(self.session, self.choice.profile), lambda: push_step(
            self.session, self.choice
        )

    def _apptainer(self) -> tuple[Callable[[], object], Callable[[], object]]:
        name = "apptainer.sif"
        build = ["apptainer", "build", "--force", f"/bench/{name}", f"docker-daemon:{IMAGE}:latest"]
        return lambda: self._in_tools(build), lambda: self._copy(name)

    def _orbit(self) -> tuple[Callable[[], object], Callable[[], object]]:
        build = "cd /bench && apptainer build --force --sandbox orbit.sif docker-daemon:$1:latest"
        command = ["sh", "-c", f"{build} && tar -cf orbit.tar orbit.sif && rm -rf orbit.sif", "sh", IMAGE]
        return lambda: self._in_tools(command), lambda: self._copy("orbit.tar")

    def _in_tools(self, command: list[str]) -> None:
        said: list[str] = []
        # Apptainer's cache and temporary files are on the same disk as Slipway's.
        settings = ["env", "APPTAINER_CACHEDIR=/bench/cache", "APPTAINER_TMPDIR=/bench"]
        mounts = {self.folder: "/bench", SOCKET: "/var/run/docker.sock"}
        code = run_container(
            self.client, self.tools, [*settings, *command], mounts=mounts, listen=said.append
        )
        if code:
            raise SystemExit(f"{command[0]} ended with exit code {code}:\n{''.join(said)}")

    def _copy(self, name: str) -> None:
        ssh = ["-q", "-F", str(self.ssh_config)]
        subprocess.run(["ssh", *ssh, "box", "mkdir -p $SCRATCH/bench"], check=True)
        there = subprocess.run(
            ["ssh", *ssh, "box", "bash -lc 'echo $SCRATCH'"], check=True, capture_output=True, text=True
        ).stdout.strip()
        subprocess.run(["scp", *ssh, str(self.folder / name), f"box:{there}/bench/{name}"], check=True)


def main() -> int:
    """Run all ways, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument(
        "--rate-mbit", type=float, default=100, help="the rate of the connection, in Mbit/s; 0 has no limit"
    )
    parser.add_argument("--base", default="slipway-cpu", help="the Docker image that is changed")
    args = parser.parse_args()
    os.environ["SSH_AUTH_SOCK"] = ""
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".slipway") as name:
        folder = Path(name)
        project = Project(root=ROOT, state=folder / "state", results=folder / "results")
        session = Session(project=project)
        port = box_up(session).port
        try:
            with limited_proxy(port, args.rate_mbit * 1e6 / 8) as proxy:
                bench = Bench(session, folder, proxy, args.base)
                print_table(run(bench), args)
        finally:
            box_down(session, purge=False)
    return 0


def run(bench: Bench) -> dict[tuple[str, str], Cost]:
    """Each way, each time; the ways take turns, so that a busy machine is busy for all of them."""
    costs = {}
    for when in TIMES:
        if when != "unchanged":
            bench.make_image()
        for way in WAYS:
            costs[when, way] = cost = bench.measure(way)
            print(f"{when}, {way}: {cost}", file=sys.stderr)
    return costs


def print_table(costs: dict[tuple[str, str], Cost], args: argparse.Namespace) -> None:
    """The table, with Slipway's time as 1."""
    line = f"{args.rate_mbit:g} Mbit/s" if args.rate_mbit else "loopback"
    print(f"{args.base}, {line}\n\n| | way | convert | send | in all | ratio | sent |")
    print("|---|---|--:|--:|--:|--:|--:|")
    for when in TIMES:
        ours = costs[when, "Slipway"].total_s
        for way in WAYS:
            cost = costs[when, way]
            print(
                f"| {when} | {way} | {cost.convert_s:.1f} s | {cost.send_s:.1f} s | {cost.total_s:.1f} s "
                f"| {cost.total_s / ours:.1f} | {cost.sent_bytes / 1e6:.1f} MB |"
            )


if __name__ == "__main__":
    sys.exit(main())
