"""A laptop: a state folder of its own, commands that are killed, and a power cut that it comes back from."""

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.box.spec import Box
from slipway.image.engine import engine
from slipway.job.run import Run
from slipway.job.store import RunStore
from slipway.project import Project
from slipway.steps.session import Session
from tests.integration.inside import run_inside
from tests.integration.proxy import Proxy
from tests.integration.push_box import OPTIONS, PushBox, through
from tests.integration.small_image import IMAGE, SmallImageBox
from tests.integration.task_runner import INVOKE, ROOT
from tests.waiting import PATIENCE_S, wait_until

# As in ssh_config without our words: a line is dead after 90 s without a sign of life.
PATIENT = "    ServerAliveInterval 30\n"
SYNCED = Path(__file__).parent / "synced"
LOST, INTERRUPTED, TERMINATED = 82, 130, 143
KILLED = -signal.SIGKILL


@dataclass(frozen=True)
class Ended:
    """How a command ended, and what it said."""

    words: Sequence[str]
    code: int
    stdout: str
    stderr: str
    took_s: float = 0.0

    @property
    def is_outside(self) -> bool:
        """True where a signal has met Python or Invoke before anything was done, or behind the answer."""
        importing = "importlib._bootstrap" in self.stderr and self.stderr.endswith("KeyboardInterrupt\n")
        nothing_done = not self.stderr or importing
        return self.code in (-signal.SIGTERM, -signal.SIGINT, 1) and (nothing_done or bool(self.stdout))

    @property
    def said(self) -> str:
        """What it said to a person, in one line."""
        return " ".join((self.stderr + self.stdout).split())


@dataclass
class Laptop:
    """One laptop of a user's: it reaches the box through a proxy.

    Attributes:
        small: the box.
        folder: where all is that this laptop has.
        proxy: on the way to the box.
        environment: what commands find in their environment, beside this process's own.
    """

    small: SmallImageBox
    folder: Path
    proxy: Proxy
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.state, self.results = self.folder / "state", self.folder / "results"
        self.runtime, self.synced = self.folder / "runtime", self.folder / "synced"
        self.code = self.folder / "code"
        self._began, self.usual_port = 0.0, self.proxy.target
        for made in (self.state / "box", self.runtime, self.code):
            made.mkdir(parents=True, mode=0o700)
        (self.code / "main.sh").write_text("echo here\n")
        self.lead_through(self.proxy.port)

    def lead_through(self, port: int, options: str = PATIENT) -> None:
        """Have the box reached by this port; a busy machine may be slow to give a sign of life."""
        theirs = self.small.session.project.state / "box" / "ssh_config"
        text = through(theirs, port).removesuffix(OPTIONS)
        (self.state / "box" / "ssh_config").write_text(text + options)

    @property
    def project(self) -> Project:
        return Project(root=ROOT, state=self.state, results=self.results)

    @property
    def store(self) -> RunStore:
        return Session(project=self.project).store

    @property
    def container(self) -> Any:
        return engine().containers.get(Box(state=self.small.session.project.state).name)

    @property
    def pushes(self) -> PushBox:
        """Pushes of files that are images by their names only."""
        return PushBox(self.folder, self.container, self.proxy, self.state / "box" / "ssh_config")

    def there(self, script: str, *words: str) -> str:
        """Run a script on the box as the user, without SSH."""
        argv = ("setpriv", "--reuid=1000", "--regid=1000", "--clear-groups", "bash", "-c", script, "bash")
        done = run_inside(self.container, *argv, *words)
        assert done.exit_code == 0, (script, words, done.output)
        return done.output.decode("utf-8", "surrogateescape")

    def start(self, *words: str, argv: Sequence[str] = INVOKE) -> subprocess.Popen[str]:
        """Start a task, in a session of its own: a Ctrl-C reaches all that a terminal's would."""
        own = {
            "SLIPWAY_STATE": str(self.state),
            "SLIPWAY_RESULTS": str(self.results),
            "SLIPWAY_TEST_SYNCED": str(self.synced),
            "PYTHONPATH": str(SYNCED),
            "XDG_RUNTIME_DIR": str(self.runtime),
        }
        self._began = time.time()
        self.synced.unlink(missing_ok=True)
        return subprocess.Popen(
            [*argv, *words],
            cwd=ROOT,
            env={**os.environ, **own, **self.environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="surrogateescape",
            start_new_session=True,
        )

    def finish(self, process: subprocess.Popen[str]) -> Ended:
        """Wait for its end; it never shows a traceback, unless Ctrl-C meets Python while it imports."""
        try:
            stdout, stderr = process.communicate(timeout=PATIENCE_S)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            raise AssertionError((process.args, process.communicate())) from None
        words = process.args if isinstance(process.args, list) else []
        ended = Ended(words[3:], process.returncode, stdout, stderr)
        assert "Traceback" not in stderr or ended.is_outside, ended
        return ended

    def run(self, *words: str, code: int | None = 0) -> Ended:
        """Run a task to its end."""
        began = time.monotonic()
        ended = self.finish(self.start(*words))
        assert code is None or ended.code == code, ended
        return Ended(ended.words, ended.code, ended.stdout, ended.stderr, time.monotonic() - began)

    def runs(self) -> dict[str, Run]:
        """All records, by their ids."""
        return {run.run_id: run for run in self.store.select()}

    def cut_power(self, process: subprocess.Popen[str], dice: random.Random) -> None:
        """All ends at one moment, and of what was written and not synced some is empty afterwards."""
        os.killpg(process.pid, signal.SIGSTOP)
        copy = self.folder / "copy"
        shutil.copytree(self.state, copy, symlinks=True)
        sure = set(self.synced.read_text().split()) if self.synced.exists() else set()
        for path in self.state.rglob("*"):
            status = path.lstat()
            is_new = path.is_file() and status.st_mtime >= self._began and str(status.st_ino) not in sure
            if is_new and dice.random() < 0.5:
                with suppress(OSError):
                    os.truncate(copy / path.relative_to(self.state), 0)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self.end_keepers()
        shutil.rmtree(self.state)
        copy.rename(self.state)

    def keepers(self) -> list[int]:
        """Processes of this laptop that keep a login."""
        mark = f"XDG_RUNTIME_DIR={self.runtime}".encode()
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            with suppress(OSError):
                is_keeper = b"slipway.multiplex" in (entry / "cmdline").read_bytes()
                if is_keeper and mark in (entry / "environ").read_bytes().split(b"\0"):
                    found.append(int(entry.name))
        return found

    def end_keepers(self) -> None:
        """As a machine that is switched off does it."""
        for pid in self.keepers():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        for path in self.runtime.glob("slipway/*"):
            path.unlink()

    def quiet(self) -> None:
        """Wait until nothing of the user's goes on: no job, no program of a login."""
        wait_until(
            lambda: not self.there("squeue -h --user researcher").strip(), lambda: self.there("squeue")
        )


Kill = Callable[[Laptop, "subprocess.Popen[str]", random.Random], None]


def _signal(number: int, *, all_of_it: bool) -> Kill:
    def act(_: Laptop, process: "subprocess.Popen[str]", __: random.Random) -> None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, number) if all_of_it else os.kill(process.pid, number)

    return act


# How a command is ended, and the code that it may end with. Where it was just over, that is its own.
KILLS: dict[str, tuple[Kill, int]] = {
    "SIGKILL": (_signal(signal.SIGKILL, all_of_it=False), KILLED),
    "SIGTERM": (_signal(signal.SIGTERM, all_of_it=False), TERMINATED),
    "Ctrl-C": (_signal(signal.SIGINT, all_of_it=True), INTERRUPTED),
    "power cut": (lambda laptop, process, dice: laptop.cut_power(process, dice), KILLED),
}


def site_options(laptop: Laptop) -> list[str]:
    """The profile and the site of all commands."""
    values = (f"IMAGE={IMAGE}", f"CODE_DIR={laptop.code}", "PROGRAM=sh main.sh")
    return ["--profile", "cpu", "--site", "box", *(word for one in values for word in ("--set", one))]


def small_resources() -> list[str]:
    """What a small job asks for."""
    return ["--mem", "100M", "--cpus", "1", "--time", "5"]
