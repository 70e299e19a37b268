"""A folder in which a rendered job script runs under real bash, with a real container engine."""

import json
import os
import signal
import subprocess
from pathlib import Path, PurePosixPath
from types import TracebackType

from slipway.job.script import Job, render_script, words_file
from slipway.job.template import load_template
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.site import Container, Login, Paths
from tests.waiting import PATIENCE_S, wait_until

TEMPLATE = load_template(Path(__file__).parents[2] / "cluster")
RUN_ID = "k3f9-cpu-20260131-142530"


class EngineNode:
    """The script of a job, and what it sees, below one folder.

    Args:
        folder: where all that is.
        engine: ``container.command`` of the site.
        image_id: the image, by the id that the engine has for it.
        user: ``uid`` and ``gid`` that the script has, and more groups; those of this process without.
        prefix: what stands before ``bash``; the script's own user is then its affair.
        changes: of the job.
    """

    def __init__(
        self,
        folder: Path,
        engine: str,
        image_id: str,
        *,
        user: tuple[int, int, tuple[int, ...]] | None = None,
        container: Container | None = None,
        prefix: tuple[str, ...] = (),
        mem: str | None = None,
        **changes: object,
    ) -> None:
        self.folder, self.engine, self.user, self.prefix = folder, engine, user, prefix
        self.run_dir = folder / "run"
        for name in ("run", "code", "data", "weights", "images", "home", "runtime"):
            (folder / name).mkdir(mode=0o755, parents=True)
        (folder / "code" / "here.txt").write_text("the code\n")
        (folder / "data" / "d.txt").write_text("the data\n")
        self.image = folder / "images" / "slipway-small-0123456789abcdef.tar"
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
            container=container or Container.model_validate({"command": engine}),
        )
        what = Job(**{**job, **changes})  # type: ignore[arg-type]
        (self.run_dir / "job.sh").write_text(render_script(what, site, TEMPLATE))
        if user is not None:
            for place in (folder, *folder.rglob("*")):
                os.chown(place, user[0], user[1])

    def start(
        self, *argv: str, environment: tuple[str, ...] = (), **variables: str
    ) -> "subprocess.Popen[bytes]":
        (self.run_dir / "argv").write_bytes(words_file(argv))
        (self.run_dir / "environment").write_bytes(words_file(environment))
        slurm = {"SLURM_JOB_ID": "7", "SLURMD_NODENAME": "node1", "SLURM_CPUS_PER_TASK": "2"}
        home = {"HOME": str(self.folder / "home"), "XDG_RUNTIME_DIR": str(self.folder / "runtime")}
        user = (
            {} if self.user is None else dict(zip(("user", "group", "extra_groups"), self.user, strict=True))
        )
        return subprocess.Popen(
            [*self.prefix, "bash", "-l", str(self.run_dir / "job.sh")],
            env={"PATH": os.environ["PATH"], **home, **slurm, **variables},
            start_new_session=True,
            **user,  # type: ignore[arg-type]
        )

    def run(self, *argv: str, environment: tuple[str, ...] = (), **variables: str) -> int:
        with self.start(*argv, environment=environment, **variables) as process:
            return process.wait(timeout=PATIENCE_S)

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
        listed = subprocess.run(
            [
                *self.prefix,
                self.engine,
                "ps",
                "--all",
                "--filter",
                f"name={RUN_ID}",
                "--format",
                "{{.Names}}",
            ],
            capture_output=True,
            text=True,
            check=True,
        )
        return listed.stdout.split()


class Running:
    """A script that runs until the block is left; what is left of it then is killed."""

    def __init__(self, node: EngineNode, *argv: str, environment: tuple[str, ...] = ()) -> None:
        self._process = node.start(*argv, environment=environment)

    def __enter__(self) -> "subprocess.Popen[bytes]":
        return self._process

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
