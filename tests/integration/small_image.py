"""The line with a small image, for tests of jobs: a box, and an image that holds sh, coreutils and perl."""

import io
import shlex
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from slipway.box.spec import Box
from slipway.host.host import Host
from slipway.host.scratch import open_scratch
from slipway.image.engine import engine, find_image
from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.selection import Selection
from slipway.job.submit import submit
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.push.upload import push_sif
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.scheduler.slurm.site import SlurmSite
from slipway.sif.store import make_sif, tools_recipe
from slipway.steps.box import box_down, box_up
from slipway.steps.session import Choice, Session
from slipway.steps.status import list_runs
from tests.integration.inside import end_inside, run_inside
from tests.integration.task_runner import ROOT
from tests.waiting import wait_until

IMAGE = "slipway-small"
# For programs that go on until :meth:`SmallImageBox.let_go`.
UNTIL_LET_GO = "until [ -e /out/go ]; do sleep 0.1; done"


@dataclass(frozen=True)
class SmallImageBox:
    """A box that has the small image, and a profile and a site for it."""

    session: Session
    choice: Choice

    def connect(self) -> AbstractContextManager[Host]:
        """A connection to the box."""
        return self.session.connect(self.choice.site)

    def submit(
        self, remote: Host, *argv: str, wanted: SlurmResources | None = None, site: SlurmSite | None = None
    ) -> Run:
        """Submit a job that runs this command and nothing else."""
        site = site or self.choice.site
        profile = self.choice.profile.model_copy(update={"program": argv[:1]})
        resources = (wanted or SlurmResources()).over(SlurmResources(cpus=1, mem="200M", time="10"))
        request = Request(profile=profile, site=site, args=argv[1:], resources=resources)
        return submit(self.session.project, request, remote, open_scratch(remote, site), NullProgress())

    def look(self, run_id: str) -> Run:
        """A run as it stands now."""
        (run,), error = list_runs(self.session, Selection(prefixes=(run_id,)), 1)
        assert error is None
        return run

    def as_root(self, *argv: str, code: int | None = 0) -> str:
        """Run a command in the box as the cluster's owner."""
        done = run_inside(self._container, *argv)
        output = done.output.decode(errors="replace")
        assert code is None or done.exit_code == code, (argv, output)
        return output

    def is_so(self, command: str) -> bool:
        """True where a shell command of the cluster's owner ends well."""
        return end_inside(self._container, "sh", "-c", command) == 0

    def has_printed(self, run: Run, line: str, attempt: int = 1) -> bool:
        """True where a line is in the log of an attempt."""
        return self.is_so(f"grep -qxF {shlex.quote(line)} {run.run_dir}/attempt-{attempt}/log")

    def let_go(self, run: Run, attempt: int = 1) -> None:
        """Let a program end that waits by ``UNTIL_LET_GO``."""
        go = f"{run.run_dir}/attempt-{attempt}/out/go"
        # SLURM says that a job runs before its script has made the folder.
        wait_until(lambda: self.is_so(f"touch {go}"), lambda: self.situation(run))

    def wait_for(self, run: Run, *states: State) -> Run:
        """Wait until a run is in one of these states; without any, until it is over."""

        def look() -> Run | None:
            now = self.look(run.run_id)
            return now if (now.state in states if states else now.state.is_over) else None

        found = wait_until(look, lambda: self.situation(run))
        assert found is not None
        return found

    def situation(self, run: Run) -> str:
        """How a run and its cluster stand, for whoever looks for why something does not come."""
        asked = f"squeue; sinfo -N -l; scontrol show job {run.job_id}; find {run.run_dir}"
        logs = f"find {run.run_dir} -name '*log' -exec tail -n 30 {{}} +"
        return f"{run}\n{self.as_root('sh', '-c', f'{asked}; {logs}', code=None)}"

    def on_box(self, command: str) -> str:
        """Run a command on the login node, in a login shell."""
        with self.connect() as remote:
            return remote.check(["bash", "-lc", command]).stdout

    def begin_again(self, run: Run) -> int:
        """Let a requeued job begin at once, and wait until it has.

        Returns:
            The newest attempt's number. SLURM counts starts that a node refused, too: it may be more than 2.
        """

        def begun() -> int:
            listed = self.on_box(f"ls -d {run.run_dir}/attempt-* 2>/dev/null || true").split()
            newest = max((int(path.rpartition("-")[2]) for path in listed), default=0)
            if newest > 1:
                return newest
            self.hurry(str(run.job_id))
            return 0

        return wait_until(begun, lambda: self.situation(run))

    def hurry(self, job_id: str) -> None:
        """Let a requeued job begin at once, which else waits for two minutes; any other is left alone."""
        waits = self.as_root("squeue", "-h", "-j", job_id, "-o", "%T %r", code=None)
        # SLURM has no reason to say before it has thought about the job.
        if any(line in ("PENDING BeginTime", "PENDING None") for line in waits.splitlines()):
            # slurmd does not start a job in the second in which it has ended it, and SLURM gives it up then.
            time.sleep(2)
            # It may have begun by itself meanwhile.
            self.as_root("scontrol", "update", f"jobid={job_id}", "starttime=now", code=None)

    @property
    def _container(self) -> Any:
        return engine().containers.get(Box(state=self.session.project.state).name)


@contextmanager
def fakes(small: SmallImageBox) -> Iterator[Callable[[str, str], None]]:
    """Puts scripts in the place of SLURM's programs, by the PATH of the user's login shell."""

    def fake(name: str, script: str) -> None:
        content = shlex.quote(f"#!/bin/sh\n{script}\n")
        small.on_box(f"printf %s {content} >~/fake/{name}; chmod 755 ~/fake/{name}")

    small.on_box("mkdir ~/fake; echo '. ~/.profile; PATH=~/fake:$PATH' >~/.bash_profile")
    try:
        yield fake
    finally:
        small.on_box("rm -rf ~/.bash_profile ~/fake")


@pytest.fixture(scope="session")
def small_box(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallImageBox]:
    """A box with an image that takes seconds to make."""
    folder = tmp_path_factory.mktemp("small")
    project = Project(root=ROOT, state=folder / "state", results=folder / "results")
    session = Session(project=project)
    code = folder / "code"
    code.mkdir()
    (code / "file").write_text("code\n")
    choice = session.choose("cpu", "box", [f"IMAGE={IMAGE}", f"CODE_DIR={code}"])
    try:
        box_up(session)
        push_image(session, choice)
        yield SmallImageBox(session=session, choice=choice)
    finally:
        box_down(session, purge=False)


@pytest.fixture(scope="module")
def small(small_box: SmallImageBox) -> Iterator[SmallImageBox]:
    """The same, without what other files of tests have left: data, what is kept, and, afterwards, records."""
    small_box.on_box("rm -rf $SCRATCH/slipway/data/* $SCRATCH/slipway/packed ~/slipway-kept")
    yield small_box
    for file in (small_box.session.project.state / "runs").glob("*"):
        file.unlink()


def push_image(session: Session, choice: Choice) -> None:
    """Build, convert and send the profile's image, which is of its own by its label."""
    client, name = engine(), choice.profile.image
    dockerfile = io.BytesIO(f"FROM {choice.profile.base_image}\nLABEL slipway.test={name}\n".encode())
    client.images.build(fileobj=dockerfile, tag=name)
    image = find_image(client, name)
    assert image is not None
    tools = tools_recipe(session.project, choice.profile)
    sif, _ = make_sif(client, image, session.project, tools, NullProgress())
    with session.open_scratch(choice.site) as (remote, scratch):
        push_sif(remote, scratch, sif, session.project.client, NullProgress())
