"""A Dask cluster on the hosts of a site: brought up, looked at, ended."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

from slipway.access.machine import find_machines
from slipway.dask import folder as there
from slipway.dask.answer import ClusterState
from slipway.dask.order import read_names
from slipway.errors import SlipwayError, UsageError
from slipway.host.host import Host, connect
from slipway.host.scratch import Scratch
from slipway.job.request import Request
from slipway.jsontext import load_json
from slipway.site import Login, Site
from slipway.steps.session import Session


@dataclass(frozen=True, kw_only=True)
class Standing:
    """A site's cluster as it stands now, and the workers that it should have.

    Attributes:
        state: by its own process and by its scheduler.
        expected: the names of all workers that were asked for.
        is_dead: its own process is gone, though it has noted no end.
    """

    state: ClusterState
    expected: tuple[str, ...] = ()
    is_dead: bool = False

    @property
    def lost(self) -> tuple[str, ...]:
        """Workers that the scheduler does not know, or knows no more."""
        there = {worker.name for worker in self.state.workers}
        return tuple(name for name in self.expected if name not in there)


@dataclass(frozen=True, kw_only=True)
class Ended:
    """What the end of a cluster left to do.

    Attributes:
        was_there: there was one.
        killed: how many processes had to be ended besides, by host.
        unreached: hosts that could not be reached, and why.
    """

    was_there: bool
    killed: Mapping[str, int] = field(default_factory=dict)
    unreached: Mapping[str, str] = field(default_factory=dict)


def is_queued(site: Site) -> bool:
    """Whether a site's workers are jobs, and not processes of hosts that are logged in to."""
    return site.scheduler == "slurm" and not site.hosts


@contextmanager
def open_cluster(session: Session, site: Site) -> Iterator[tuple[Host, PurePosixPath]]:
    """A connection to the first host, and the cluster's folder there."""
    with session.open_scratch(site, make=False) as (host, scratch):
        yield host, there.cluster_folder(scratch)


def look(session: Session, site: Site) -> Standing:
    """How a site's cluster stands.

    Raises:
        RemoteError: its image does not start any more.
        SshError: the first host cannot be reached.
    """
    with open_cluster(session, site) as (host, folder):
        noted = there.note(host, folder)
        if not noted.is_alive:
            return Standing(state=noted)
        if not there.is_alive(host, noted.cluster):
            return Standing(state=noted, is_dead=True)
        session.progress.step("Asking Dask's scheduler")
        return Standing(state=there.ask_status(host, folder), expected=_expected(host, folder))


def _expected(host: Host, folder: PurePosixPath) -> tuple[str, ...]:
    try:
        order: Any = load_json(host.read(folder / "order.json") or b"")
        return tuple(read_names(order))
    except (ValueError, KeyError, TypeError):
        return ()


def find_address(host: Host, scratch: Scratch, site: Site) -> str:
    """The address of a site's scheduler, for a program that is to use it.

    Raises:
        UsageError: there is no cluster.
    """
    folder = there.cluster_folder(scratch)
    noted = there.note(host, folder)
    if noted.state == "runs" and there.is_alive(host, noted.cluster):
        return noted.address
    raise UsageError(
        f"{site.name} has no Dask cluster that runs ({noted.state}); `invoke dask.up {site.name}` starts one"
    )


def with_address(request: Request, host: Host, scratch: Scratch) -> Request:
    """The same request, whose program finds the site's cluster by ``Client()``.

    Raises:
        UsageError: there is no cluster.
    """
    address = find_address(host, scratch, request.site)
    environment = {**request.profile.environment, "DASK_SCHEDULER_ADDRESS": address}
    profile = request.profile.model_copy(update={"environment": environment})
    return replace(request, profile=profile)


def end(session: Session, site: Site) -> Ended:
    """End a site's cluster, and what is left of it on any of its hosts.

    Raises:
        SshError: the first host cannot be reached.
    """
    with open_cluster(session, site) as (host, folder):
        noted = there.note(host, folder)
        if not noted.cluster:
            return Ended(was_there=False)
        if noted.is_alive:
            session.progress.step("Ending Dask's cluster")
            there.ask_to_stop(host, folder, noted.cluster)
            there.wait_for_end(host, folder, noted.cluster)
        if is_queued(site):
            there.end_jobs(host, noted.cluster)
        killed, unreached = sweep_processes(session, site, host, noted.cluster)
        there.forget(host, folder)
    return Ended(was_there=True, killed=killed, unreached=unreached)


def sweep_processes(
    session: Session, site: Site, first: Host, cluster: str
) -> tuple[Mapping[str, int], Mapping[str, str]]:
    """End what is left of a cluster on all hosts; one that cannot be reached stops none of the others.

    Returns:
        How many processes were ended, by host, where there were any; and why hosts could not be reached.
    """
    killed: dict[str, int] = {}
    unreached: dict[str, str] = {}
    for place, machine in enumerate(find_machines(site, session.project.state)):
        session.progress.step(f"Looking for what is left on {machine.name}")
        try:
            with ExitStack() as stack:
                host = first if place == 0 else stack.enter_context(reach(session, site, machine.login))
                if count := there.end_processes(host, cluster):
                    killed[machine.name] = count
        except SlipwayError as error:
            unreached[machine.name] = str(error)
    return killed, unreached


def reach(session: Session, site: Site, login: Login) -> Host:
    """A connection to one of a site's hosts; the caller closes it."""
    return connect(login, session.project.state, session.prompt, site.name)
