"""A Dask cluster brought up: what it needs is looked at on each host, and then Dask starts it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from slipway.access import there as ssh_there
from slipway.access.machine import Machine, Way, find_machines
from slipway.code.upload import send_code
from slipway.dask import folder as there
from slipway.dask.answer import ClusterState, Versions
from slipway.dask.copying import copy_file, list_files
from slipway.dask.options import DaskOptions
from slipway.dask.order import WorkerHost, render_order
from slipway.dask.wrapper import ENTRY, PYTHON, Wrapper, render_entry, render_wrapper
from slipway.errors import ImageError, RemoteError, SlipwayError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch, open_scratch
from slipway.job.inputs import find_image, read_code
from slipway.push.upload import PushedSif
from slipway.site import THIS_MACHINE, Site
from slipway.steps.dask import reach, sweep_processes
from slipway.steps.session import Choice, Session
from slipway.steps.submit import Push, prepared
from slipway.text.wording import megabytes

_NEEDED = ("dask", "distributed", "asyncssh")
_SAME = ("python", "dask", "distributed")


@dataclass(frozen=True, kw_only=True)
class UpRequest:
    """What is asked for.

    Attributes:
        options: of the site's file, with those of the command line.
        copy: what a host lacks is brought to it by the first one, and nobody is asked.
        weights: the weights of networks have to be on each host, too.
        push: whether the image here is sent before.
    """

    options: DaskOptions
    copy: bool = False
    weights: bool = False
    push: Push = Push.ASK


@dataclass(frozen=True, kw_only=True)
class Started:
    """A cluster that runs.

    Attributes:
        state: how it stands.
        site: where.
        port: the dashboard's, on the first host.
        hosts: how many were asked for.
        left_out: hosts that have no worker, and why.
    """

    state: ClusterState
    site: Site
    port: int
    hosts: int
    left_out: Mapping[str, str]

    @property
    def error(self) -> SlipwayError | None:
        """What is wrong with hosts that were left out."""
        if not self.left_out:
            return None
        lines = [f"{name}: {why}" for name, why in self.left_out.items()]
        return RemoteError("\n".join(["Dask runs without these:", *lines]))


def refuse_second(site: Site, host: Host, scratch: Scratch) -> None:
    """Go on only where there is no cluster yet.

    Raises:
        UsageError: there is one.
    """
    noted, name = there.note(host, there.cluster_folder(scratch)), site.name
    if noted.is_alive and there.is_alive(host, noted.cluster):
        raise UsageError(
            f"{name} has a Dask cluster already ({noted.state}): `invoke dask.status {name}` shows it, "
            f"and `invoke dask.down {name}` ends it"
        )


def cluster_files(
    choice: Choice, cluster: str, image: PushedSif, scratch: Scratch, code: str, options: DaskOptions
) -> Mapping[str, bytes]:
    """What starts Python in the image on one host.

    Raises:
        ConfigError: the site starts containers by something else than Apptainer.
    """
    profile = choice.profile
    wrapper = Wrapper(
        cluster=cluster,
        folder=there.cluster_folder(scratch),
        image=image.path,
        code=scratch.code / code,
        data=scratch.data,
        weights=scratch.weights,
        home=profile.mount_home,
        gpus=bool(options.gpus),
    )
    return {
        PYTHON: render_wrapper(wrapper, choice.site).encode(),
        ENTRY: render_entry(profile.environment).encode("utf-8", "surrogateescape"),
    }


def require_packages(image: PushedSif, versions: Versions, needed: Sequence[str]) -> None:
    """Go on only where the image has these.

    Raises:
        ImageError: it lacks one.
    """
    lacks = [name.replace("_", "-") for name in versions.lacks(*needed)]
    if lacks:
        wanted = " ".join([*(name.replace("_", "-") for name in needed if name != "dask"), "bokeh"])
        raise ImageError(
            f"{image.path.name} has no {', '.join(lacks)}: Dask starts its workers from the image. Add "
            f"`{wanted}` to the packages that its Dockerfile installs (docs/dask.md), then do "
            "`invoke build` and `invoke push`"
        )


@dataclass(kw_only=True)
class _Member:
    """One host on its way to have workers."""

    machine: Machine
    scratch: Scratch | None = None
    versions: Versions | None = None
    problem: SlipwayError | None = None

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def host(self) -> Host:
        assert self.machine.host is not None  # noqa: S101 - one that is not reached has a problem
        return self.machine.host

    @property
    def as_worker(self) -> WorkerHost:
        cpus = self.versions.cpus if self.versions else 1
        one = self.machine
        return WorkerHost(name=one.name, user=one.target.user, address=one.address, cpus=cpus)


@contextmanager
def _noted(member: _Member) -> Iterator[None]:
    """What goes wrong with one host stops none of the others."""
    try:
        yield
    except SlipwayError as error:
        member.problem = error


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
    members: list[_Member] = field(default_factory=list)

    @property
    def _site(self) -> Site:
        return self.choice.site

    @property
    def _first(self) -> _Member:
        return self.members[0]

    @property
    def _ready(self) -> list[_Member]:
        return [one for one in self.members if one.problem is None]

    def run(self) -> Started:
        """Bring it up; a host that fails stops none of the others, but for the first.

        Raises:
            UsageError: there is a cluster already.
            ImageError: the image was never pushed, or lacks what Dask needs.
            RemoteError: the first host cannot do it, or no host has a worker.
        """
        site = self._site
        if site.login.host == THIS_MACHINE:
            raise UsageError(
                f"{site.name} is this machine, which Dask's SSHCluster would log in to: a program's Client() "
                "without an address has workers here, with no cluster to be started before"
            )
        machines = find_machines(site, self.session.project.state)
        self.members = [_Member(machine=machine) for machine in machines]
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
                with _noted(member):
                    self._enter(member, stack)
            self._try_ways()
            self._bring_files(image)
            cluster, options = f"dask-{secrets.token_hex(4)}", self.request.options
            self._send(cluster, image)
            self._look_at_images(image)
            return self._begin(cluster, options)

    def _enter(self, member: _Member, stack: ExitStack) -> None:
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
            with _noted(member):
                self.ways.append(way := self._try_way(member))
                if way.problem is not None:
                    whom = "itself" if member is self._first else "it"
                    raise RemoteError(
                        f"{self._first.name} does not get on {whom} by ssh: {way.problem}; "
                        f"`invoke ssh.setup {self._site.name}` opens all ways between a site's hosts"
                    )
        self._require_first()

    def _try_way(self, member: _Member) -> Way:
        address = member.machine.address
        problem = ssh_there.try_login(self._first.host, member.machine.target.user, *address)
        return Way(start=self._first.name, end=member.name, problem=problem)

    def _require_first(self) -> None:
        if self._first.problem is not None:
            raise type(self._first.problem)(f"{self._first.name}: {self._first.problem}")

    # ---- Files -------------------------------------------------------------------------------------

    def _bring_files(self, image: PushedSif) -> None:
        """Have the image, and the weights where they are wanted, on each host."""
        lacking = {one.name: missing for one in self._ready[1:] if (missing := self._lacks(one, image))}
        if not lacking:
            return
        copies = self.request.copy or self._wants_copy(lacking, image)
        for member in [one for one in self._ready if one.name in lacking]:
            with _noted(member):
                if not copies:
                    raise ImageError(
                        _explain_lack(lacking[member.name], self._site, self.choice.profile.name)
                    )
                for path in lacking[member.name]:
                    self.session.progress.step(
                        f"Bringing {path.name} from {self._first.name} to {member.name}"
                    )
                    copy_file(self._first.host, member.machine, path)

    def _lacks(self, member: _Member, image: PushedSif) -> list[PurePosixPath]:
        missing: list[PurePosixPath] = []
        with _noted(member):
            if member.host.size(image.path) != image.size_bytes:
                # Its name, which is part of a job's record, is not moved: only Dask uses it there.
                missing.append(image.path)
            if self.request.weights:
                missing += self._lacks_weights(member)
        return missing

    def _lacks_weights(self, member: _Member) -> list[PurePosixPath]:
        assert self._first.scratch is not None  # noqa: S101 - the first host is reached
        folder = self._first.scratch.weights
        wanted, found = list_files(self._first.host, folder), list_files(member.host, folder)
        return [folder / name for name, size in wanted.items() if found.get(name) != size]

    def _wants_copy(self, lacking: Mapping[str, Sequence[PurePosixPath]], image: PushedSif) -> bool:
        """Ask whether the first host is to bring what is missing; False where nobody can be asked.

        Raises:
            KeyboardInterrupt: the person does not want to go on.
        """
        names = sorted({path.name for missing in lacking.values() for path in missing})
        prompt = (
            f"{', '.join(lacking)} lack{'s' if len(lacking) == 1 else ''} {', '.join(names)} "
            f"(the image has {megabytes(image.size_bytes)}). Have {self._first.name} copy that there (c), "
            "or stop (s)? "
        )
        while (answer := self.session.prompt.ask(prompt, echo=True)) is not None:
            match answer.strip().lower():
                case "c" | "copy":
                    return True
                case "s" | "stop":
                    raise KeyboardInterrupt
        return False

    def _send(self, cluster: str, image: PushedSif) -> None:
        """Bring the code, and what starts Python in the image, to each host."""
        profile, options = self.choice.profile, self.request.options
        code = read_code(self.session.project, profile, self._site.name, whole=True)
        with code.snapshot as snapshot:
            for member in self._ready:
                with _noted(member):
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
            with _noted(member):
                _require_same(member, first)

    def _look_at_image(self, member: _Member) -> None:
        with _noted(member):
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


def _require_same(member: _Member, first: Versions) -> None:
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


def _explain_lack(missing: Sequence[PurePosixPath], site: Site, profile: str) -> str:
    names = ", ".join(map(str, missing))
    return (
        f"it lacks {names}; `invoke dask.up {site.name} --profile {profile} --copy` has the first host bring "
        "it there"
    )
