"""Submitting a job after one file of the code has changed: Slipway beside Orbit's recipe, in one run.

    .venv/bin/python -m bench.submit [--files 1000] [--times 5] [--delays 0 25 100]

The box is started, and a small image is pushed. Then, again and again, one of so many files in a git checkout
is changed, and a job that does nothing is submitted, by each way in turn:

- **Slipway**: `invoke job`, from the start of Python to its end.
- **Orbit**: the five connections of its `cluster_interface.sh job`, each with a login of its own.

A proxy delays all bytes by half of the round trip, each way. What is printed is a table in Markdown: medians
of seconds, and Slipway's share of Orbit's.
"""

from __future__ import annotations

import argparse
import io
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from slipway.image.engine import engine, find_image
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import push_sif
from slipway.sif.store import make_sif, tools_recipe
from slipway.steps.box import box_down, box_up
from slipway.steps.session import Choice, Session
from tests.integration.files_host import Proxy

ROOT = Path(__file__).resolve().parent.parent
IMAGE = "slipway-bench-submit"
FILE_BYTES = 4000
SCRIPT = "#!/bin/sh\n#SBATCH --time=1 --mem=100M --output=/dev/null\ntrue\n"


class Bench:
    """A checkout with code, and the two ways to submit a job with it."""

    def __init__(self, session: Session, choice: Choice, folder: Path, files: int) -> None:
        self.session, self.choice, self.code = session, choice, folder / "code"
        self.ssh_config = session.project.state / "box" / "ssh_config"
        self._direct = self.ssh_config.read_text()
        self._changes = 0
        make_code(self.code, files)
        self.script = folder / "job.sh"
        self.script.write_text(SCRIPT)
        with session.open_scratch(choice.site) as (_, scratch):
            self.there = f"{scratch.root}/orbit"
            self.image = f"{scratch.images}/{IMAGE}.sif"

    def change(self) -> None:
        """Edit one file."""
        self._changes += 1
        (self.code / "part-3" / "module_3.py").write_text(f"changed = {self._changes}\n" * 200)

    def slipway(self) -> None:
        """Submit as Slipway does."""
        settings = [f"IMAGE={IMAGE}", f"CODE_DIR={self.code}", "PROGRAM=true"]
        sets = [word for setting in settings for word in ("--set", setting)]
        resources = ["--time", "1", "--cpus", "1", "--mem", "100M"]
        invoke = [str(Path(sys.executable).parent / "invoke"), "--search-root", str(ROOT)]
        state = {"SLIPWAY_STATE": str(self.session.project.state)}
        run([*invoke, "job", "--profile", "cpu", "--site", "box", *sets, *resources, "--"], state)

    def orbit(self) -> None:
        """Submit as Orbit does."""
        options = ["-q", "-F", str(self.ssh_config)]
        ssh = ["ssh", *options, "box"]
        run([*ssh, f"[ -f {self.image} ]"])
        run([*ssh, f"mkdir -p {self.there}"])
        rules = ["--exclude=*.git*", "--filter=:- .dockerignore"]
        run(["rsync", "-rh", *rules, "-e", " ".join(ssh[:-1]), f"{self.code}/", f"box:{self.there}/code"])
        run(["scp", *options, str(self.script), f"box:{self.there}/job.sh"])
        run([*ssh, f"cd {self.there}/code && sbatch ../job.sh"])

    @contextmanager
    def delayed(self, delay_ms: int) -> Iterator[None]:
        """The connection to the box with so long a round trip."""
        if not delay_ms:
            yield
            return
        line, port = re.findall(r"(Port (\d+))", self._direct)[0]
        # In a process of its own, so that it takes no time from this one.
        argv = [sys.executable, "-m", "bench.submit", "--proxy", port, "--delays", str(delay_ms)]
        with subprocess.Popen(
            argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        ) as proxy:
            through = int(next(iter(proxy.stdout or ())))
            self.ssh_config.write_text(self._direct.replace(line, f"Port {through}"))
            try:
                yield
            finally:
                self.ssh_config.write_text(self._direct)
                proxy.communicate()


def make_code(folder: Path, files: int) -> None:
    """A git checkout of so many files, all of them committed."""
    for number in range(files):
        file = folder / f"part-{number % 20}" / f"module_{number}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text((f"value_{number} = {number}\n" * FILE_BYTES)[:FILE_BYTES])
    git = ["git", "-c", "user.name=bench", "-c", "user.email=bench@localhost"]
    for words in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "code"]):
        subprocess.run([*git, *words], cwd=folder, check=True)


def run(argv: list[str], settings: dict[str, str] | None = None) -> None:
    """Run a program that has to succeed."""
    environment = {**os.environ, "SSH_AUTH_SOCK": "", **(settings or {})}
    done = subprocess.run(argv, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{argv} ended with {done.returncode}:\n{done.stdout}{done.stderr}")


def push_image(session: Session, choice: Choice) -> None:
    """Bring a small image to the box."""
    client = engine()
    dockerfile = f"FROM {choice.profile.base_image}\nLABEL slipway.bench=submit\n"
    client.images.build(fileobj=io.BytesIO(dockerfile.encode()), tag=IMAGE)
    image = find_image(client, IMAGE)
    if image is None:
        raise SystemExit(f"the engine has not kept {IMAGE}")
    tools = tools_recipe(session.project, choice.profile)
    sif, _ = make_sif(client, image, session.project, tools, NullProgress())
    with session.open_scratch(choice.site) as (host, scratch):
        push_sif(host, scratch, sif, session.project.client, NullProgress())


def seconds(action: Callable[[], object]) -> float:
    """How long something takes."""
    began = time.monotonic()
    action()
    return time.monotonic() - began


def measure(bench: Bench, times: int) -> tuple[float, float]:
    """Medians of seconds, Slipway's and Orbit's; they take turns, so that a busy machine is so for both."""
    ways: dict[str, list[float]] = {"slipway": [], "orbit": []}
    for turn in range(times + 1):
        for way, figures in ways.items():
            bench.change()
            took = seconds(getattr(bench, way))
            print(f"{way} {took:.3f}{' (first)' if not turn else ''}", file=sys.stderr)
            if turn:  # The first sends everything.
                figures.append(took)
    return statistics.median(ways["slipway"]), statistics.median(ways["orbit"])


def main() -> None:
    """Measure, and print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--times", type=int, default=5)
    parser.add_argument("--delays", type=int, nargs="*", default=[0, 25, 100], help="round trips in ms")
    parser.add_argument("--proxy", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.proxy:
        print(Proxy(options.proxy, delay_s=options.delays[0] / 2000).port, flush=True)
        sys.stdin.read()
        return
    (ROOT / ".slipway").mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=ROOT / ".slipway") as name:
        folder = Path(name)
        session = Session(project=Project(root=ROOT, state=folder / "state", results=folder / "results"))
        choice = session.choose("cpu", "box", [f"IMAGE={IMAGE}"])
        box_up(session)
        try:
            push_image(session, choice)
            bench = Bench(session, choice, folder, options.files)
            print("| round trip | Slipway | Orbit | share |\n|--:|--:|--:|--:|")
            for delay_ms in options.delays:
                with bench.delayed(delay_ms):
                    ours, theirs = measure(bench, options.times)
                print(f"| {delay_ms} ms | {ours:.2f} s | {theirs:.2f} s | {ours / theirs:.2f} |", flush=True)
        finally:
            box_down(session, purge=False)


if __name__ == "__main__":
    main()
