"""The stand-in, a checkout and a site for it, for tests."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from slipway.host.host import Host
from slipway.host.scratch import Scratch, open_scratch
from slipway.image.base import ensure_base
from slipway.image.engine import engine, find_image
from slipway.job.poll import poll
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.submit import submit
from slipway.profile import Profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.reference import keep_reference
from slipway.push.upload import push_sif
from slipway.registry.publish import Published
from slipway.registry.reference import parse_reference
from slipway.scheduler.base import State
from slipway.scheduler.ngc.site import NgcSite, Platform
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Login, Paths
from slipway.steps.session import Session
from tests.integration.task_runner import ROOT
from tests.waiting import wait_until

IMAGE = "slipway-test-ngc"
API_KEY = "nvapi-of-nobody"
INSTANCE = "cpu.x86.tiny"
UNTIL_LET_GO = "until [ -e /out/go ]; do sleep 0.1; done"


@dataclass(frozen=True)
class PlatformHere:
    """The stand-in, a checkout and a site for it.

    Attributes:
        folder: of all of it.
        session: the checkout's.
        site: the site.
        profile: whose image the platform has.
    """

    folder: Path
    session: Session
    site: NgcSite
    profile: Profile

    @property
    def state(self) -> Path:
        """The stand-in's."""
        return self.folder / "stand-in"

    @property
    def workspace(self) -> Path:
        """What is in the workspace."""
        (folder,) = (self.state / "workspaces").iterdir()
        return folder / "slipway"

    @contextmanager
    def connect(self) -> Iterator[tuple[Host, Scratch]]:
        """This machine, and the folder that is the site's scratch."""
        with self.session.connect(self.site) as host:
            yield host, open_scratch(host, self.site)

    def submit(self, *argv: str, time: str | None = "10", **wanted: Any) -> Run:
        """Submit a job that runs this command and nothing else."""
        profile = self.profile.model_copy(update={"program": argv[:1]})
        resources = SlurmResources(**{"partition": INSTANCE, "time": time, **wanted})
        request = Request(profile=profile, site=self.site, args=argv[1:], resources=resources)
        with self.connect() as (host, scratch):
            return submit(self.session.project, request, host, scratch, NullProgress())

    def sh(self, script: str, *words: str, **wanted: Any) -> Run:
        """Submit a shell script."""
        return self.submit("/bin/sh", "-c", script, "sh", *words, **wanted)

    def look(self, run: Run) -> Run:
        """A run as it stands now."""
        with self.connect() as (host, _):
            return poll(host, [run])[0]

    def wait(self, run: Run, *states: State) -> Run:
        """Wait until a run is in one of these states; without any, until it is over."""
        seen = [run]

        def look() -> bool:
            seen[0] = self.look(seen[0])
            return seen[0].state in states if states else seen[0].state.is_over

        wait_until(look, lambda: f"{seen[0]}\n{self.situation()}", pause_s=0.5)
        return seen[0]

    def situation(self) -> str:
        """How the platform stands."""
        return "\n".join(file.read_text() for file in (self.state / "jobs").glob("*.json"))

    def log(self, run: Run, task: int | None = None) -> str:
        """What a run has printed, as it is in scratch."""
        folder = Path(run.run_dir) if task is None else Path(run.run_dir) / f"task-{task}"
        return (folder / "attempt-1" / "log").read_text(errors="surrogateescape")

    def break_it(self, **what: object) -> None:
        """Have something go wrong."""
        (self.state / "break.json").write_text(json.dumps(what))

    def mend(self) -> None:
        """Have nothing go wrong any more."""
        (self.state / "break.json").unlink(missing_ok=True)

    def let_go(self, run: Run) -> None:
        """Let a program end that waits by UNTIL_LET_GO."""
        out = self.workspace / "runs" / run.run_id / "attempt-1" / "out"
        wait_until(out.is_dir, self.situation)
        (out / "go").touch()

    def numbers(self) -> list[int]:
        """The jobs that there have been."""
        return sorted(int(file.stem) for file in (self.state / "jobs").glob("*.json"))


@contextmanager
def platform_here(folder: Path) -> Iterator[PlatformHere]:
    """The stand-in, found by login shells, with an empty workspace; its jobs are ended afterwards."""
    for name in ("home", "stand-in", "bin", "scratch"):
        (folder / name).mkdir(parents=True)
    stand_in = folder / "bin" / "ngc"
    stand_in.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" "{ROOT}/tests/integration/ngc/stand_in.py" "$@"\n'
    )
    stand_in.chmod(0o755)
    # NVIDIA's program reads the key by itself; nobody else is to see it.
    lines = f'PATH="{folder}/bin:$PATH"\nexport NGC_STAND_IN="{folder}/stand-in" NGC_CLI_API_KEY={API_KEY}\n'
    for name in (".bash_profile", ".profile"):
        (folder / "home" / name).write_text(lines)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOME", str(folder / "home"))
        patch.setenv("NGC_STAND_IN", str(folder / "stand-in"))
        patch.setenv("SHELL", "/bin/bash")
        patch.delenv("XDG_STATE_HOME", raising=False)
        yield _made(folder)
        for file in (folder / "stand-in" / "jobs").glob("*.json"):
            own = str((folder / "stand-in").resolve()).replace("/", "-").strip("-")[-60:]
            quiet("docker", "rm", "-f", f"ngc-stand-in-{own}-{file.stem}")


def quiet(*argv: str) -> None:
    """Run a program, whatever it prints and comes to."""
    subprocess.run(argv, capture_output=True, check=False)


def _made(folder: Path) -> PlatformHere:
    quiet(f"{folder}/bin/ngc", "workspace", "create", "--name=mine", "--ace=ace-1")
    project = Project(root=ROOT, state=folder / "state", results=folder / "results")
    session = Session(project=project)
    code = folder / "code"
    code.mkdir()
    (code / "file").write_text("code\n")
    (code / 'it\'s a <name>, "odd"?*|%;:').write_text("odd\n")
    profile = session.profile("cpu", [f"IMAGE={IMAGE}", f"CODE_DIR={code}"])
    site = NgcSite(
        name="ngc",
        login=Login(host="this-machine"),
        paths=Paths(scratch=str(folder / "scratch")),
        ngc=Platform(org="org", ace="ace-1", team="team", workspace="mine", registry="nvcr.example/org/team"),
        grace_s=3,
    )
    client = engine()
    ensure_base(client, profile.base_image, profile.debian_mirror, NullProgress())
    client.images.get(profile.base_image).tag(IMAGE)
    # The platform would fetch it from the registry; the stand-in's engine has it by that name.
    client.images.get(profile.base_image).tag("nvcr.example/org/team/image", "0123456789abcdef")
    image = find_image(client, IMAGE)
    assert image is not None
    made = PlatformHere(folder=folder, session=session, site=site, profile=profile)
    reference = parse_reference("nvcr.example/org/team/image:0123456789abcdef")
    published = Published(
        reference=reference, digest="sha256:" + "1" * 64, size_bytes=1, layers=1, sent_layers=1
    )
    sif = keep_reference(image, published, project)
    with made.connect() as (host, scratch):
        push_sif(host, scratch, sif, project.client, NullProgress())
    return made
