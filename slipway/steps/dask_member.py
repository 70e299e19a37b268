"""The hosts of a Dask cluster, each on its own way to have workers; what the first brings to the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import PurePosixPath

from slipway.access.machine import Machine
from slipway.dask.answer import Versions
from slipway.dask.copying import copy_file, list_files
from slipway.dask.order import WorkerHost
from slipway.errors import ImageError, SlipwayError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.push.upload import PushedSif
from slipway.steps.dask_start import UpRequest
from slipway.steps.session import Choice, Session
from slipway.text.wording import megabytes


@dataclass(kw_only=True)
class Member:
    """One host on its way to have workers."""

    machine: Machine
    scratch: Scratch | None = None
    versions: Versions | None = None
    problem: SlipwayError | None = None

    @property
    def name(self) -> str:
        """As the site's file has it."""
        return self.machine.name

    @property
    def host(self) -> Host:
        """The connection to it."""
        assert self.machine.host is not None  # noqa: S101 - one that is not reached has a problem
        return self.machine.host

    @property
    def as_worker(self) -> WorkerHost:
        """The same for the order."""
        cpus = self.versions.cpus if self.versions else 1
        one = self.machine
        return WorkerHost(name=one.name, user=one.target.user, address=one.address, cpus=cpus)


@contextmanager
def noted(member: Member) -> Iterator[None]:
    """What goes wrong with one host stops none of the others."""
    try:
        yield
    except SlipwayError as error:
        member.problem = error


def bring_files(
    session: Session, choice: Choice, members: Sequence[Member], image: PushedSif, request: UpRequest
) -> None:
    """Have the image, and the weights where they are wanted, on each host.

    Args:
        session: whose person may be asked.
        choice: the profile and the site.
        members: the hosts; the first one has the files.
        image: the image.
        request: whether weights are wanted, and whether anybody is asked.

    Raises:
        KeyboardInterrupt: the person who was asked does not want to go on.
    """
    first, *others = [one for one in members if one.problem is None]
    found = {one.name: _lacks(first, one, image, weights=request.weights) for one in others}
    lacking = {name: missing for name, missing in found.items() if missing}
    if not lacking:
        return
    copies = request.copy or _wants_copy(session, first, lacking, image)
    for member in [one for one in others if one.name in lacking]:
        with noted(member):
            if not copies:
                raise ImageError(_explain_lack(lacking[member.name], choice))
            for path in lacking[member.name]:
                session.progress.step(f"Bringing {path.name} from {first.name} to {member.name}")
                copy_file(first.host, member.machine, path)


def _lacks(first: Member, member: Member, image: PushedSif, *, weights: bool) -> list[PurePosixPath]:
    missing: list[PurePosixPath] = []
    with noted(member):
        if member.host.size(image.path) != image.size_bytes:
            missing.append(image.path)
        if weights:
            missing += _lacks_weights(first, member)
    return missing


def _lacks_weights(first: Member, member: Member) -> list[PurePosixPath]:
    assert first.scratch is not None  # noqa: S101 - the first host is reached
    folder = first.scratch.weights
    wanted, found = list_files(first.host, folder), list_files(member.host, folder)
    return [folder / name for name, size in wanted.items() if found.get(name) != size]


def _wants_copy(
    session: Session, first: Member, lacking: Mapping[str, Sequence[PurePosixPath]], image: PushedSif
) -> bool:
    """Ask whether the first host is to bring what is missing; False where nobody can be asked.

    Raises:
        KeyboardInterrupt: the person does not want to go on.
    """
    names = sorted({path.name for missing in lacking.values() for path in missing})
    prompt = (
        f"{', '.join(lacking)} lack{'s' if len(lacking) == 1 else ''} {', '.join(names)} "
        f"(the image has {megabytes(image.size_bytes)}). Have {first.name} copy that there (c), "
        "or stop (s)? "
    )
    while (answer := session.prompt.ask(prompt, echo=True)) is not None:
        match answer.strip().lower():
            case "c" | "copy":
                return True
            case "s" | "stop":
                raise KeyboardInterrupt
    return False


def _explain_lack(missing: Sequence[PurePosixPath], choice: Choice) -> str:
    command = f"invoke dask.up {choice.site.name} --profile {choice.profile.name} --copy"
    return f"it lacks {', '.join(map(str, missing))}; `{command}` has the first host bring it there"
