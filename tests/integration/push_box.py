"""A place to push to: a box behind a proxy, and the pushes of one or more checkouts to it."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.box.container import down
from slipway.host.host import Host, connect
from slipway.host.scratch import Scratch, open_scratch
from slipway.image.engine import engine
from slipway.project import Project
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Login, Paths
from slipway.steps.box import box_up
from slipway.steps.session import Session
from tests.integration.inside import run_inside
from tests.integration.proxy import Proxy
from tests.waiting import PATIENCE_S

ROOT = Path(__file__).parents[2]
SCRATCH = "/scratch/researcher"
# A line that is silent is dead after three of these seconds.
OPTIONS = "    ServerAliveInterval 1\n    ServerAliveCountMax 3\n"


@dataclass(frozen=True)
class Done:
    """How a push ended, and the bytes that went up and down for it."""

    code: int
    stdout: str
    stderr: str
    up_bytes: int
    down_bytes: int
    took_s: float

    @property
    def transfer(self) -> Any:
        return json.loads(self.stdout)


@dataclass(frozen=True)
class PushBox:
    """A host with sshd, as ``box`` in an ssh_config that leads through the proxy."""

    folder: Path
    container: Any
    proxy: Proxy
    config: Path
    scratch: str = SCRATCH

    @property
    def images(self) -> str:
        return f"{self.scratch}/slipway/images"

    @property
    def site(self) -> SlurmSite:
        login = Login(host="box", ssh_config=str(self.config))
        return SlurmSite(name="there", login=login, paths=Paths(scratch=self.scratch))

    def there(self, script: str, *words: str) -> str:
        """Run a script there as root, without SSH."""
        done = run_inside(self.container, "bash", "-c", script, "there", *words)
        text = done.output.decode()
        assert done.exit_code == 0, f"{script} {words}: {text}"
        return text

    def listing(self) -> set[str]:
        return set(self.there(f"! test -e {self.images} || ls -A {self.images}").split())

    def file(self, name: str, content: bytes) -> Path:
        """A new file to push; two of one name would be taken for one."""
        path = self.folder / f"{name}.sif"
        assert not path.exists()
        path.write_bytes(content)
        return path

    def start(self, path: Path, name: str, *options: str, state: str = "state") -> subprocess.Popen[str]:
        argv = [sys.executable, "-m", "tests.integration.push_program"]
        words = [str(self.folder / state), str(path), str(self.config), self.scratch, name, *options]
        return subprocess.Popen(
            [*argv, *words],
            cwd=ROOT,
            env={**os.environ, "PYTHONFAULTHANDLER": "1"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C reaches all that a terminal's would
        )

    def finish(self, process: subprocess.Popen[str], timeout_s: float = PATIENCE_S) -> Done:
        began = time.monotonic()
        try:
            stdout, stderr = process.communicate(timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGABRT)  # says where each thread is
            raise AssertionError(process.communicate()) from None
        took = time.monotonic() - began
        assert "Traceback" not in stderr, stderr
        return Done(process.returncode, stdout, stderr, self.proxy.up_bytes, self.proxy.down_bytes, took)

    def push(self, path: Path, name: str, *options: str, code: int = 0, state: str = "state") -> Done:
        self.proxy.count()
        done = self.finish(self.start(path, name, *options, state=state))
        assert done.code == code, done
        return done

    @contextmanager
    def open(self) -> Iterator[tuple[Host, Scratch]]:
        """A connection in this process."""
        with connect(self.site.login, self.folder) as remote:
            yield remote, open_scratch(remote, self.site)


def through(config: Path, port: int) -> str:
    """An ssh_config, with another port and short times."""
    text = re.sub(r"Port \d+", f"Port {port}", config.read_text())
    return text.rstrip("\n") + "\n" + OPTIONS


@contextmanager
def start_push_box(folder: Path) -> Iterator[PushBox]:
    """A box of its own behind a proxy; it ends with this."""
    project = Project(root=ROOT, state=folder / "box-state", results=folder / "results")
    client = engine()
    try:
        status = box_up(Session(project=project))
        proxy = Proxy(status.port)
        config = folder / "ssh_config"
        config.write_text(through(status.box.ssh_config, proxy.port))
        yield PushBox(folder, client.containers.get(status.box.name), proxy, config)
        proxy.close()
    finally:
        down(client, project.state)
        client.close()


def sif_name(name: str, digest: str) -> str:
    return f"{name}-{digest[:16]}.sif"


def changed(content: bytes, size_bytes: int = 300_000) -> bytes:
    """The same with a stretch of it replaced, and a little moved."""
    at = len(content) // 2 + 12_345
    return content[:at] + os.urandom(size_bytes) + content[at + size_bytes - 10_000 :]
