"""A Dask cluster brought up: what it needs is looked at on each host, and then Dask starts it."""

from __future__ import annotations

import secrets
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field

from slipway.access import there as ssh_there
from slipway.access.machine import Way, find_machines
from slipway.code.upload import send_code
from slipway.dask import folder as there
from slipway.dask.answer import Versions
from slipway.dask.options import DaskOptions
from slipway.dask.order import render_order
from slipway.dask.wrapper import PYTHON
from slipway.errors import ImageError, RemoteError, UsageError
from slipway.host.scratch import open_scratch
from slipway.job.inputs import find_image, read_code
from slipway.push.upload import PushedSif
from slipway.site import Site
from slipway.steps.dask import reach, sweep_processes
from slipway.steps.dask_member import Member, bring_files, noted
from slipway.steps.dask_start import Started, UpRequest, cluster_files, refuse_second, require_packages
from slipway.steps.session import Choice, Session
from slipway.steps.submit import prepared

_NEEDED = ("dask", "distributed", "asyncssh")
_SAME = ("python", "dask", "distributed")


@dataclass(kw_only=True)
class Up:
    """One bringing up of a site's cluster.

    Attributes:
        ways: from the first host to each, as they were tried.
    """

    session: Session
    choice: Choice
    request: UpRequest
    ways: list[Way] = field(default_factory=list)
    members: list[Member] = field(default_factory=list)

    @property
    def _site(self) -> Site:
        return self.choice.site

    @property
    def _first(self) -> Member:
        return self.members[0]

    @property
    def _ready(self) -> list[Member]:
        return [one for one in self.members if one.problem is None]

    def run(self) -> Started:
        """Bring it up; a host that fails stops none of the others, but for the first.

        Raises:
            UsageError: there is a cluster already.
            ImageError: the image was never pushed, or lacks what Dask needs.
            RemoteError: the first host cannot do it, or no host has a worker.
        """
        site = self._site
        if site.login.is_this_machine:
            raise UsageError(
                f"{site.name} is this machine, which Dask's SSHCluster would log in to: a program's Client() "
                "without an address has workers here, with no cluster to be started before"
            )
        machines = find_machines(site, self.session.project.state)
        self.members = [Member(machine=machine) for machine in machines]
        with (
            prepared(self.session, self.choice.profile, site, self.request.push) as ready,
            ExitStack() as stack,
        ):
            ready.code.snapshot.package.archive.close()
            image = ready.image or find_image(ready.host, ready.scratch, self.choice.profile, site)
            self._first.machine.host, self._first.scratch = ready.host, ready.scratch
            refuse_second(site, ready.host, ready.scratch)
            for member in self.members[1:]:
                self.session.progress.step(f"Logging in to {member.name}")
                with noted(member):
                    self._enter(member, stack)
            self._try_ways()
            bring_files(self.session, self.choice, self.members, image, self.request)
            cluster, options = f"dask-{secrets.token_hex(4)}", self.request.options
            self._send(cluster, image)
            self._look_at_images(image)
            return self._begin(cluster, options)

    def _enter(self, member: Member, stack: ExitStack) -> None:
        host = reach(self.session, self._site, member.machine.login)
        stack.callback(host.close)
        member.machine.host = host
        member.scratch = open_scratch(host, self._site)
        assert self._first.scratch is not None  # noqa: S101 - set above
        if member.scratch != self._first.scratch:
            raise RemoteError(
                f"paths.scratch is {member.scratch.root.parent} on {member.name} and "
                f"{self._first.scratch.root.parent} on {self._first.name}; Dask needs one path on all hosts: "
                f"write it without variables in {self._site.file_to_change}"
            )

    # ---- The ways between the hosts ----------------------------------------------------------------

    def _try_ways(self) -> None:
        """Try whether the first host gets on each, itself too: Dask logs in there to start each part."""
        self.session.progress.step(f"Trying the ways from {self._first.name}")
        for member in self._ready:
            with noted(member):
                self.ways.append(way := self._try_way(member))
                if way.problem is not None:
                    whom = "itself" if member is self._first else "it"
                    raise RemoteError(
                        f"{self._first.name} does not get on {whom} by ssh: {way.problem}; "
                        f"`invoke ssh.setup {self._site.name}` opens all ways between a site's hosts"
                    )
        self._require_first()

    def _try_way(self, member: Member) -> Way:
        address = member.machine.address
        problem = ssh_there.try_login(self._first.host, member.machine.target.user, *address)
        return Way(start=self._first.name, end=member.name, problem=problem)

    def _require_first(self) -> None:
        if self._first.problem is not None:
            raise type(self._first.problem)(f"{self._first.name}: {self._first.problem}")

    # ---- Files -------------------------------------------------------------------------------------

    def _send(self, cluster: str, image: PushedSif) -> None:
        """Bring the code, and what starts Python in the image, to each host."""
        profile, options = self.choice.profile, self.request.options
        code = read_code(self.session.project, profile, self._site.name, whole=True)
        with code.snapshot as snapshot:
            for member in self._ready:
                with noted(member):
                    assert member.scratch is not None  # noqa: S101 - a host without has a problem
                    snapshot.package.archive.seek(0)
                    if not member.host.is_folder(member.scratch.code / snapshot.tree.name):
                        send_code(member.host, member.scratch, snapshot, self.session.progress)
                    tree = snapshot.tree.name
                    files = cluster_files(self.choice, cluster, image, member.scratch, tree, options)
                    there.send(member.host, there.cluster_folder(member.scratch), files)
        self._require_first()

    # ---- The image on each host --------------------------------------------------------------------

    def _look_at_images(self, image: PushedSif) -> None:
        """Have each host start the image, and say what is in it."""
        self.session.progress.step(f"Starting {image.path.name} on {len(self._ready)} hosts")
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(self._look_at_image, self._ready))
        self._require_first()
        first = self._first.versions
        assert first is not None  # noqa: S101 - the first host has no problem
        require_packages(image, first, _NEEDED)
        for member in self._ready:
            with noted(member):
                _require_same(member, first)

    def _look_at_image(self, member: Member) -> None:
        with noted(member):
            assert member.scratch is not None  # noqa: S101 - a host without has a problem
            member.versions = there.ask_versions(member.host, there.cluster_folder(member.scratch))

    # ---- The start ---------------------------------------------------------------------------------

    def _begin(self, cluster: str, options: DaskOptions) -> Started:
        first, scratch = self._first.host, self._first.scratch
        assert scratch is not None  # noqa: S101 - the first host is reached
        folder = there.cluster_folder(scratch)
        hosts, ready = ([one.as_worker for one in some] for some in (self.members, self._ready))
        order = render_order(cluster, folder / PYTHON, hosts, options, ready)
        self._require_workers(order)
        first.write(folder / "order.json", order)
        self.session.progress.step(f"Starting Dask on {len(ready)} hosts")
        try:
            there.begin(first, folder, cluster)
            state = there.wait_for_begin(first, folder, cluster)
        except BaseException:
            sweep_processes(self.session, self._site, first, cluster)
            there.forget(first, folder)
            raise
        left_out = {one.name: str(one.problem) for one in self.members if one.problem is not None}
        return Started(
            state=state,
            site=self._site,
            port=options.dashboard,
            hosts=len(self.members),
            left_out={**left_out, **state.problems},
        )

    def _require_workers(self, order: bytes) -> None:
        if b'"workers": []' not in order:
            return
        lines = [f"{one.name}: {one.problem}" for one in self.members if one.problem is not None]
        raise RemoteError("\n".join(["no host can have a worker:", *lines]))


def _require_same(member: Member, first: Versions) -> None:
    assert member.versions is not None  # noqa: S101 - it was just looked at
    mine = member.versions.found
    others = [
        f"{name} {mine.get(name)} and not {first.found.get(name)}"
        for name in _SAME
        if mine.get(name) != first.found.get(name)
    ]
    if others:
        raise ImageError(
            f"its image has {', '.join(others)}, as that of the first host has: push the same image"
        )
