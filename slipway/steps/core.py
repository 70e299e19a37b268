"""What every step starts from: names to profiles, sites and connections."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

from slipway.errors import UsageError
from slipway.host.host import Host, connect
from slipway.host.scratch import Scratch, open_scratch
from slipway.job.store import RunStore
from slipway.lock import only_one
from slipway.profile import Profile, load_profile
from slipway.progress import Progress
from slipway.project import Project
from slipway.site import Site, list_sites, load_site
from slipway.ssh.prompt import NoPrompt, Prompt
from slipway.ssh.target import resolve_target


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A profile and the site that goes with it."""

    profile: Profile
    site: Site


class Core:
    """The folders of one checkout, and whoever watches and can be asked."""

    def __init__(self, project: Project, progress: Progress, ask: Prompt | None = None) -> None:
        self.project = project
        self.progress = progress
        self.ask = ask or NoPrompt()
        self.store = RunStore(project.state / "runs")

    def trust(self, name: str, *, yes: bool, replace: bool) -> list[str]:
        """Get to know a site's host keys; see :func:`slipway.ssh.trust.trust_host_keys`."""
        from slipway.ssh.trust import trust_host_keys

        target = resolve_target(load_site(self.project.sites, name).login, self.project.state)
        self.progress.step(f"Asking {name} for its key")
        return trust_host_keys(target, self.ask, yes=yes, replace=replace)

    def profile(self, name: str, overrides: Iterable[str]) -> Profile:
        """A profile; see :func:`slipway.profile.load_profile`."""
        return load_profile(self.project.profiles, name, overrides)

    def choose(self, name: str, site: str | None, overrides: Iterable[str]) -> Choice:
        """A profile, and the site that is named or that the profile names.

        Raises:
            UsageError: neither names a site.
        """
        profile = self.profile(name, overrides)
        wanted = site or profile.site
        if wanted is None:
            known = ", ".join(list_sites(self.project.sites))
            raise UsageError(
                f"no site is chosen: add --site NAME, or SITE=NAME in env/.env.local; sites: {known}"
            )
        return Choice(profile=profile, site=load_site(self.project.sites, wanted))

    @contextmanager
    def host(self, site: Site) -> Iterator[Host]:
        """A connection to a site, closed afterwards."""
        with connect(site.login, self.project.state, self.ask) as host:
            yield host

    def reconnect(self, site: Site) -> Host:
        """A connection that the caller closes."""
        return connect(site.login, self.project.state, self.ask)

    @contextmanager
    def scratch(self, site: Site, *, make: bool = True) -> Iterator[tuple[Host, Scratch]]:
        """A connection to a site, and its scratch, whose folders are made unless ``make`` is off."""
        self.progress.step(f"Logging in to {site.name}")
        with self.host(site) as host:
            yield host, open_scratch(host, site, make=make)

    def _client(self, site: Site) -> str:
        """What sets this checkout's uploads apart from all others that may be under way at the same time."""
        # Two sites may be the same cluster with the same scratch, and `_only_one` knows them by name.
        return f"{self.project.client}-{site.name}"

    def _only_one(self, name: str, waiting: str) -> AbstractContextManager[None]:
        """Nobody else of this checkout does the same meanwhile."""
        lock = self.project.state / "locks" / name
        return only_one(lock, lambda: self.progress.step(f"{waiting} from this checkout"))
