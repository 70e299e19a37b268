"""Where the suite works: a folder, a state of its own, the box behind a line, and images for it."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from bench.suite.figure import Taken
from bench.suite.line import Counts, Line
from bench.suite.process import Watch, run, timed
from bench.suite.row import WrongError
from slipway.image.build import build_image
from slipway.image.engine import Image, engine, find_image, run_container
from slipway.image.recipe import Recipe
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.sif.store import tools_recipe
from slipway.steps.box import box_down, box_up
from slipway.steps.session import Session

if TYPE_CHECKING:
    from docker import DockerClient

ROOT = Path(__file__).resolve().parents[2]
SOCKET = Path("/var/run/docker.sock")
INVOKE = [sys.executable, "-m", "invoke", "--search-root", str(ROOT)]
IMAGE = "slipway-bench"
CHANGED_BYTES = 300_000
_BENCH_IMAGES = re.compile(rf"^{IMAGE}(-[a-z]+)*:")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What was asked for.

    Attributes:
        times: how often each way is measured.
        delays_ms: round trips, in the place of those of the row.
        rate_mbit: of the line; 0 has no limit.
        base: the Docker image of the usual size.
        large_gb: the size of the large image.
        short: everything small: it shows that the suite works, and no figures.
    """

    times: int = 5
    delays_ms: tuple[int, ...] | None = None
    rate_mbit: float = 100
    base: str = "slipway-cpu"
    large_gb: float = 5.5
    short: bool = False

    def small(self, usual: int, short: int) -> int:
        """A number, and what it is in the short form."""
        return short if self.short else usual


class Place:
    """What the rows work with. All that is in it is made where it is asked for first."""

    def __init__(self, folder: Path, options: Options) -> None:
        self.folder, self.options = folder, options
        self.state = folder / "state"
        self.session = Session(
            project=Project(root=ROOT, state=self.state, results=folder / "results"), progress=NullProgress()
        )
        self._line: Line | None = None
        self.box_container = ""
        # Nobody's kept logins are used.
        os.environ["XDG_RUNTIME_DIR"] = str(folder)

    # ---- The box and the line to it -------------------------------------------------------------

    def start_box(self) -> None:
        """Start the box, unless it is up."""
        self.line  # noqa: B018 - it comes with its line

    @cached_property
    def line(self) -> Line:
        """The line to the box, which is started."""
        self.box_container = box_up(self.session).box.name
        known = self.ssh_config.read_text()
        (port,) = re.findall(r"Port (\d+)", known)
        self._line = line = Line(int(port))
        # All ways read this file.
        self.ssh_config.write_text(known.replace(f"Port {port}", f"Port {line.port}"))
        return line

    @property
    def ssh_config(self) -> Path:
        """What leads to the box."""
        return self.state / "box" / "ssh_config"

    def counts(self) -> Counts | None:
        """What has gone over the line; ``None`` where there is none."""
        return self._line.counts() if self._line else None

    @contextmanager
    def slow(self, delay_ms: float, *, has_rate: bool = True) -> Iterator[None]:
        """The line with a round trip and the rate; before and after, it is as fast as the machine."""
        self.line.use(delay_ms, self.options.rate_mbit if has_rate else 0)
        try:
            yield
        finally:
            self.line.use()

    def delays(self, usual: Sequence[int]) -> Sequence[int]:
        """The round trips, in ms."""
        return usual if self.options.delays_ms is None else self.options.delays_ms

    def there(self, script: str, *words: str) -> str:
        """What a script prints on the box, in a login shell."""
        inner = shlex.join(["bash", "-lc", script, "bash", *words])
        return run([*self.ssh, "box", inner])

    @property
    def ssh(self) -> list[str]:
        """OpenSSH, to the box."""
        self.start_box()
        return ["ssh", "-q", "-F", str(self.ssh_config)]

    def login(self) -> tuple[str, int, str]:
        """Who logs in to the box, at which port of this machine, with which key."""
        said = run(["ssh", "-G", "-F", str(self.ssh_config), "box"])
        words = dict(line.split(" ", 1) for line in said.splitlines() if " " in line)
        return words["user"], self.line.port, words["identityfile"]

    @cached_property
    def scratch(self) -> str:
        """The folder of scratch on the box."""
        return self.there("echo $SCRATCH").strip()

    # ---- Slipway --------------------------------------------------------------------------------

    def slipway(self, *words: str, state: Path | None = None, logins: Path | None = None) -> Taken:
        """One `invoke TASK`, from the start of Python to its end; with logins that are kept in a folder."""
        return replace(self.slipway_says(*words, state=state, logins=logins)[0], read_bytes=None)

    def slipway_says(
        self, *words: str, state: Path | None = None, logins: Path | None = None
    ) -> tuple[Taken, str]:
        """The same with the bytes that it has read, and what it printed."""
        env = {"SLIPWAY_STATE": str(state or self.state), "SLIPWAY_RESULTS": str(self.folder / "results")}
        env |= {"XDG_RUNTIME_DIR": str(logins)} if logins else {}
        return timed([*INVOKE, *words], cwd=ROOT, env=env)

    def newest_run(self) -> dict[str, str]:
        """The record of the run that was submitted last."""
        files = sorted((self.state / "runs").glob("*.json"), key=lambda file: file.stat().st_mtime_ns)
        record: dict[str, str] = json.loads(files[-1].read_text(encoding="utf-8"))
        return record

    # ---- Images ---------------------------------------------------------------------------------

    @cached_property
    def client(self) -> DockerClient:
        """The engine."""
        return engine()

    @cached_property
    def tools(self) -> Image:
        """The container that has Apptainer, which all ways convert with."""
        return build_image(
            self.client, tools_recipe(self.session.project, self.session.profile("cpu")), NullProgress()
        )[0]

    def change_image(self, name: str = IMAGE, base: str | None = None) -> None:
        """Build the image with another 300 kB in its last layer."""
        base = base or self.options.base
        if find_image(self.client, base) is None:
            raise SystemExit(
                f"the engine has no {base}; `invoke demo` makes slipway-cpu, --base takes another"
            )
        context = self.folder / "context" / name
        context.mkdir(parents=True, exist_ok=True)
        (context / "Dockerfile").write_text(f"FROM {base}\nCOPY changed /opt/changed\n")
        (context / "changed").write_bytes(os.urandom(CHANGED_BYTES))
        build_image(
            self.client,
            Recipe(name=name, dockerfile=context / "Dockerfile", platform="", build_args={}),
            NullProgress(),
        )

    def changed(self, name: str = IMAGE) -> Path:
        """The file that was changed last."""
        return self.folder / "context" / name / "changed"

    def image_bytes(self, name: str = IMAGE) -> int:
        """The size of an image, as the engine has it."""
        size: int = self.client.images.get(f"{name}:latest").attrs["Size"]
        return size

    def in_tools(self, script: str, *words: str) -> None:
        """Run a script in the container with Apptainer, with the suite's folder as ``/bench``."""
        said: list[str] = []
        # Apptainer's cache and temporary files are on the same disk as Slipway's.
        settings = ["env", "APPTAINER_CACHEDIR=/bench/cache", "APPTAINER_TMPDIR=/bench/tmp"]
        (self.folder / "tmp").mkdir(exist_ok=True)
        mounts = {self.folder: "/bench", SOCKET: "/var/run/docker.sock"}
        argv = [*settings, "sh", "-euc", script, "sh", *words]
        code = run_container(self.client, self.tools, argv, mounts=mounts, listen=said.append)
        if code:
            raise SystemExit(f"{script} ended with exit code {code}:\n{''.join(said)}")

    def remove(self, *names: str) -> None:
        """Remove things of the suite's folder, which root of a container may have made."""
        there = [f"/bench/{name}" for name in names if (self.folder / name).exists()]
        if there:
            self.in_tools('rm -rf "$@"', *there)

    def container_processes(self) -> list[int]:
        """The first process of each container that sees something of the suite's folder."""
        found = []
        for container in self.client.containers.list(ignore_removed=True):
            sources = [str(mount.get("Source", "")) for mount in container.attrs["Mounts"]]
            is_box = container.name == self.box_container
            if not is_box and any(source.startswith(str(self.folder)) for source in sources):
                found.append(container.attrs["State"]["Pid"])
        return found

    def watched(self, act: Callable[[], Taken | None], *folders: Path) -> Callable[[], Taken]:
        """An act with a look at memory and disk meanwhile."""

        def do() -> Taken:
            with Watch(self.container_processes, folders) as watch:
                began = time.perf_counter()
                taken = act() or Taken(seconds=time.perf_counter() - began)
            return replace(taken, memory_bytes=watch.memory_bytes, disk_bytes=watch.disk_bytes)

        return do

    # ---- Its end --------------------------------------------------------------------------------

    def close(self) -> None:
        """End the box and the line, and remove all that was made."""
        if self._line:
            self._line.close()
        if (self.state / "box").exists():
            box_down(self.session, purge=False)
        if "client" in self.__dict__:
            if "tools" in self.__dict__:
                self.in_tools("find /bench -mindepth 1 -delete || true")
            self._remove_images()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _remove_images(self) -> None:
        for image in self.client.images.list():
            for tag in filter(_BENCH_IMAGES.match, image.tags):
                self.client.images.remove(tag, force=True)


def expect(is_so: bool, what: str) -> None:
    """Say that a way has not done its work.

    Raises:
        WrongError: it is not so.
    """
    if not is_so:
        raise WrongError(what)
