"""One place where jobs run: a site, a checkout and a small image, by what any task would do with them."""

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from slipway.job.request import Request
from slipway.job.run import Run
from slipway.job.selection import Selection
from slipway.job.submit import submit
from slipway.profile import Profile
from slipway.progress import NullProgress
from slipway.project import Project
from slipway.report.sweep_table import ElementState, element_states
from slipway.scheduler.base import State
from slipway.scheduler.slurm.resources import SlurmResources
from slipway.site import Site
from slipway.steps.cancel import cancel
from slipway.steps.pull import pull
from slipway.steps.session import Choice, Session
from slipway.steps.status import list_runs
from slipway.steps.submit import Push
from slipway.steps.sweep import sweep_submitted
from slipway.steps.sweep_arrays import SweepRequest
from slipway.sweep.spec import SweepSpec
from tests.integration.task_runner import ROOT
from tests.waiting import wait_until

WANTED = SlurmResources(cpus=1, mem="200M", time="10")


@dataclass(frozen=True, kw_only=True)
class Place:
    """A site and what runs there.

    Attributes:
        session: the checkout's.
        choice: the profile and the site.
        limit: the shortest time limit that the scheduler keeps to.
        limits_memory: whether it ends what takes more memory than it asked for.
        wanted: what each job asks for, where it says nothing else.
        has_dependencies: whether a job can wait for another.
        throttle: how many elements of a sweep run at once; ``None`` where nothing can be said of that.
    """

    session: Session
    choice: Choice
    limit: str = "0:30"
    limits_memory: bool = True
    wanted: SlurmResources = WANTED
    has_dependencies: bool = True
    throttle: int | None = 2

    @property
    def site(self) -> Site:
        """Its site."""
        return self.choice.site

    def _profile(self, *program: str) -> Profile:
        return self.choice.profile.model_copy(update={"program": program})

    def run(self, script: str, *words: str, **wanted: Any) -> Run:
        """Submit a job that runs a script, with words that are its arguments."""
        resources = SlurmResources(**wanted).over(self.wanted)
        profile = self._profile("/bin/sh", "-c", script, "sh")
        request = Request(profile=profile, site=self.site, args=words, resources=resources)
        with self.session.open_scratch(self.site) as (host, scratch):
            return submit(self.session.project, request, host, scratch, NullProgress())

    def look(self, run: Run) -> Run:
        """A run as `status` shows it now."""
        (found,), error = list_runs(self.session, Selection(prefixes=(run.run_id,)), 1)
        assert error is None, error
        return found

    def wait(self, run: Run, *states: State) -> Run:
        """Wait until a run is in one of these states; without any, until it is over."""
        seen = [run]

        def look() -> bool:
            seen[0] = self.look(run)
            return seen[0].state in states if states else seen[0].state.is_over

        wait_until(look, lambda: f"{seen[0]}\n{self.listing(run)}")
        return seen[0]

    def wait_for_line(self, run: Run, line: str) -> None:
        """Wait until a run has printed a line."""
        wait_until(
            lambda: line in self.log(run).splitlines(), lambda: f"{self.look(run)}\n{self.listing(run)}"
        )

    def there(self, run: Run, name: str) -> bytes:
        """A file of a run's folder there; nothing where there is none."""
        from pathlib import PurePosixPath

        # A site may bring its files only where it is asked how a run stands.
        self.look(run)
        with self.session.connect(self.site) as host:
            return host.read(PurePosixPath(run.run_dir) / name) or b""

    def log(self, run: Run) -> str:
        """What the first attempt has printed."""
        return self.there(run, "attempt-1/log").decode(errors="surrogateescape")

    def listing(self, run: Run) -> str:
        """What is in a run's folder there, for whoever looks for why something does not come."""
        script = 'find "$1"; find "$1" -name "*log" -exec tail -n 30 {} +'
        with self.session.connect(self.site) as host:
            return host.run(["sh", "-c", script, "sh", run.run_dir]).stdout

    def cancel(self, run: Run) -> Run:
        """As `invoke cancel` does it."""
        return cancel(self.session, run.run_id)[0]

    def pull(self, run: Run) -> Path:
        """As `invoke pull` does it; the folder that has the results."""
        pull(self.session, run.run_id)
        return self.session.project.results / run.run_id

    def sweep(self, spec: SweepSpec, script: str) -> list[ElementState]:
        """Submit a sweep of a script, and wait for how its elements end."""
        choice = Choice(profile=self._profile("/bin/sh", "-c", script, "sh"), site=self.site)
        request = SweepRequest(choice=choice, spec=spec, resources=self.wanted, again=False)
        with sweep_submitted(self.session, request, Push.NEVER) as done:
            runs = {run.run_id: self.wait(run) for run in done.runs}
            return element_states(done.sweep, runs)


def checkout(
    folder: Path, state: Path, site: str, overrides: Sequence[str], **files: str
) -> tuple[Session, Choice]:
    """A repository with site files of its own, and what is chosen in it.

    Args:
        folder: where it is made.
        state: Slipway's state folder.
        site: the site that is chosen.
        overrides: of the profile.
        files: the text of each site's file.
    """
    shutil.copytree(ROOT / "env", folder / "env")
    (folder / "cluster").mkdir()
    for name, text in files.items():
        (folder / "cluster" / f"{name}.yaml").write_text(text)
    code = folder / "code"
    code.mkdir()
    (code / "it's a <file>").write_text("code\n")
    session = Session(project=Project(root=folder, state=state, results=folder / "results"))
    return session, session.choose("cpu", site, [f"CODE_DIR={code}", *overrides])
