"""A folder in which a rendered job script runs under real bash, with a real container engine."""

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from types import TracebackType

from slipway.job.script import Job, render_script, words_file
from slipway.job.template import load_template
from slipway.model import read_values
from slipway.runtime.choose import find_runtime
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Container, Login, Paths
from tests.waiting import PATIENCE_S, wait_until

TEMPLATE = load_template(Path(__file__).parents[2] / "cluster")
RUN_ID = "k3f9-cpu-20260131-142530"
# A session of its own, so that all of it can be told at once.
_BEGIN = 'echo $$ >"$0"; exec bash -l "$1"'


class EngineNode:
    """The script of a job, and what it sees, below one folder.

    Args:
        folder: where all that is.
        engine: ``container.command`` of the site.
        image_id: the image, by the id that the engine has for it.
        user: ``uid``, ``gid`` and more groups that the script has.
        inside: a container that is the node, and has the folder at the same place; this machine without.
        container: more of the site's ``container``.
        mem: the job's memory.
        changes: of the job.
    """

    def __init__(
        self,
        folder: Path,
        engine: str,
        image_id: str,
        user: tuple[int, int, tuple[int, ...]],
        *,
        inside: str | None = None,
        container: Mapping[str, object] | None = None,
        mem: str | None = None,
        **changes: object,
    ) -> None:
        self.folder, self.engine, self.user, self.inside = folder, engine, user, inside
        self.run_dir = folder / "run"
        for name in ("run", "code", "data", "weights", "images", "home"):
            (folder / name).mkdir(mode=0o755, parents=True)
        (folder / "code" / "here.txt").write_text("the code\n")
        (folder / "data" / "d.txt").write_text("the data\n")
        suffix = find_runtime(engine).form.files[0]
        self.image = folder / "images" / f"slipway-small-0123456789abcdef{suffix}"
        job = {
            "run_id": RUN_ID,
            "run_dir": PurePosixPath(self.run_dir),
            "image": PurePosixPath(self.image),
            "image_id": image_id,
            "code": PurePosixPath(folder / "code"),
            "data": PurePosixPath(folder / "data"),
            "weights": PurePosixPath(folder / "weights"),
            "resources": SlurmResources(mem=mem),
        }
        site = SlurmSite(
            name="hpc",
            login=Login(host="h"),
            paths=Paths(scratch="/s"),
            container=read_values(Container, {"command": engine, **(container or {})}),
        )
        what = Job(**{**job, **changes})  # type: ignore[arg-type]
        (self.run_dir / "job.sh").write_text(render_script(what, site, TEMPLATE))
        for place in (folder, *folder.rglob("*")):
            os.chown(place, user[0], user[1])

    def command(self, argv: Sequence[str], **variables: str) -> "subprocess.Popen[str]":
        """Start a program as the script's user, where the script runs."""
        uid, gid, groups = self.user
        home = {"HOME": str(self.folder / "home"), "SLURM_JOB_ID": "7", "SLURMD_NODENAME": "node1"}
        environment = {"PATH": os.environ["PATH"], "SLURM_CPUS_PER_TASK": "2", **home, **variables}
        if self.inside is None:
            return subprocess.Popen(
                argv,
                env=environment,
                user=uid,
                group=gid,
                extra_groups=groups,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                text=True,
            )
        # Its storage, and what it keeps of a run, are the user's own there.
        environment |= {"HOME": "/home/node", "XDG_RUNTIME_DIR": "/run/node"}
        words = [f"{name}={value}" for name, value in environment.items() if name != "PATH"]
        return subprocess.Popen(
            ["docker", "exec", f"--user={uid}:{gid}", self.inside, "env", *words, *argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, *argv: str, **variables: str) -> "subprocess.CompletedProcess[str]":
        """The same, to its end."""
        with self.command(argv, **variables) as process:
            output, _ = process.communicate(timeout=PATIENCE_S)
        return subprocess.CompletedProcess(argv, process.returncode, output)

    def start(
        self, *argv: str, environment: tuple[str, ...] = (), **variables: str
    ) -> "subprocess.Popen[str]":
        (self.run_dir / "argv").write_bytes(words_file(argv))
        (self.run_dir / "environment").write_bytes(words_file(environment))
        (self.folder / "pid").unlink(missing_ok=True)
        words = ["setsid", "--wait", "bash", "-c", _BEGIN]
        return self.command([*words, str(self.folder / "pid"), str(self.run_dir / "job.sh")], **variables)

    def run(self, *argv: str, environment: tuple[str, ...] = (), **variables: str) -> int:
        with self.start(*argv, environment=environment, **variables) as process:
            return process.wait(timeout=PATIENCE_S)

    def tell(self, number: signal.Signals, *, everybody: bool = False) -> None:
        """Send a signal to the script, or to all that it has started here."""
        file = self.folder / "pid"
        wait_until(lambda: file.exists() and file.read_text().strip(), "the script did not begin")
        pid = file.read_text().strip()
        self.ask("kill", f"-{number.value}", "--", f"-{pid}" if everybody else pid)

    def result(self, attempt: int = 1) -> dict[str, object]:
        loaded: dict[str, object] = json.loads(
            (self.run_dir / f"attempt-{attempt}" / "result.json").read_text(encoding="utf-8")
        )
        return loaded

    def ending(self) -> tuple[object, object]:
        return self.result()["exit_code"], self.result()["reason"]

    def log(self, attempt: int = 1) -> str:
        file = self.run_dir / f"attempt-{attempt}" / "log"
        return file.read_text(encoding="utf-8", errors="surrogateescape") if file.exists() else ""

    @property
    def out(self) -> Path:
        return self.run_dir / "attempt-1" / "out"

    def wait_for(self, word: str) -> None:
        wait_until(lambda: word in self.log(), lambda: f"{word!r} did not come: {self.log()}")

    def containers(self) -> list[str]:
        """What the engine has of this run, running or not."""
        filters = ("--filter", f"name={RUN_ID}", "--format", "{{.Names}}")
        return self.ask(self.engine, "ps", "--all", *filters).stdout.split()


class Running:
    """A script that runs until the block is left; what is left of it then is killed."""

    def __init__(self, node: EngineNode, *argv: str, environment: tuple[str, ...] = ()) -> None:
        self._node = node
        self._process = node.start(*argv, environment=environment)

    def __enter__(self) -> "subprocess.Popen[str]":
        return self._process

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            self._node.tell(signal.SIGKILL, everybody=True)
        self._process.communicate()
