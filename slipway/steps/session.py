"""What every step works with: the project, who watches, who can be asked, and connections to sites."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from slipway.errors import UsageError
from slipway.lock import only_one
from slipway.progress import NullProgress, Progress
from slipway.project import Project
from slipway.ssh.prompt import NoPrompt, Prompt

if TYPE_CHECKING:
    from slipway.host.host import Host
    from slipway.host.scratch import Scratch
    from slipway.job.store import RunStore
    from slipway.profile import Profile
    from slipway.site import Site

# Profiles, sites and logins are loaded where they are needed: a task that only looks at records needs none.


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A profile and the site that goes with it."""

    profile: Profile
    site: Site


@dataclass(frozen=True, kw_only=True)
class Session:
    """One use of Slipway in one project.

    Attributes:
        project: its folders.
        progress: is told what a step does.
        prompt: answers passwords and questions.
    """

    project: Project
    progress: Progress = field(default_factory=NullProgress)
    prompt: Prompt = field(default_factory=NoPrompt)

    @property
    def store(self) -> RunStore:
        """The records of runs on this machine."""
        from slipway.job.store import RunStore

        return RunStore(self.project.state / "runs", self.progress.note)

    def profile(self, name: str, overrides: Iterable[str] = ()) -> Profile:
        """A profile; see :func:`slipway.profile.load_profile`."""
        from slipway.profile import load_profile

        return load_profile(self.project.profiles, name, overrides, share=self.project.share / "env")

    def site(self, name: str) -> Site:
        """A site; see :func:`slipway.site_file.load_site`."""
        from slipway.site_file import load_site

        return load_site(self.project.sites, name)

    def choose(self, name: str, site: str | None, overrides: Iterable[str] = ()) -> Choice:
        """A profile, and the site that is named or that the profile names.

        Raises:
            UsageError: neither names a site.
        """
        profile = self.profile(name, overrides)
        wanted = site or profile.site
        if wanted is None:
            from slipway.site_file import list_sites

            known = ", ".join(list_sites(self.project.sites))
            raise UsageError(
                f"no site is chosen: add --site NAME, or SITE=NAME in env/.env.local; sites: {known}"
            )
        return Choice(profile=profile, site=self.site(wanted))

    def connect(self, site: Site) -> AbstractContextManager[Host]:
        """A connection to a site, for the time of a `with`."""
        return self.log_in(site)

    def log_in(self, site: Site) -> Host:
        """A connection to a site, new or by a login that is kept. The caller closes it."""
        from slipway.host.host import connect

        return connect(site.login, self.project.state, self.prompt, site.name)

    @contextmanager
    def open_scratch(
        self, site: Site, *, make: bool = True, ahead: Sequence[Callable[[Scratch], Sequence[str]]] = ()
    ) -> Iterator[tuple[Host, Scratch]]:
        """A connection to a site, and its scratch; see :func:`slipway.host.scratch.open_scratch`."""
        from slipway.host.scratch import open_scratch

        self.progress.step(f"Logging in to {site.name}")
        with self.connect(site) as host:
            yield host, open_scratch(host, site, make=make, ahead=ahead)

    def client(self, site: Site) -> str:
        """What sets this checkout's uploads apart from all others that may be under way at the same time."""
        # Two sites may be the same cluster with the same scratch, and `lock` knows them by name.
        return f"{self.project.client}-{site.name}"

    def lock(self, name: str, waiting: str) -> AbstractContextManager[None]:
        """Only one command of this checkout is in here at a time.

        Args:
            name: of the lock.
            waiting: is told where another command has it.
        """
        lock = self.project.state / "locks" / name
        return only_one(lock, lambda: self.progress.step(f"{waiting} from this checkout"))
