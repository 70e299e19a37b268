"""What a run is made of: image, code, arguments and environment, from a profile or from an earlier run.

Both give the same value, and planning a run starts from that; so any run can be repeated: see replay.py.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from slipway.code.checkout import Revision, find_revision
from slipway.code.size_limit import parse_limit
from slipway.code.snapshot import Snapshot, take_snapshot
from slipway.code.upload import recall_sent
from slipway.errors import ImageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.bundles import Bundles
from slipway.job.elements import Element, ElementFiles
from slipway.job.request import Request
from slipway.job.run import Shell
from slipway.job.script import words_file
from slipway.job.secret import keyed_hash
from slipway.profile import Profile, record_values
from slipway.project import Project
from slipway.push.upload import PushedSif, find_pushed
from slipway.runtime.choose import find_runtime
from slipway.site import Site


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What a run is made of.

    Attributes:
        profile: the profile's name.
        profile_values: its values, as the record keeps them.
        program: the program, before the arguments.
        args: the arguments.
        argv: both, as the job script reads them.
        environment: the program's own variables, as the job script reads them.
        image: the image on the cluster.
        code: the name of the tree of code on the cluster.
        revision: what git says of the code.
        parent: the id of the run that is repeated.
        shell: whether the job is there for a shell.
        elements: those of an array whose tasks have arguments of their own, and the files of these words.
        bundles: which of these share jobs; ``None`` where none does.
        sweep: what it belongs to.
        packed: the packed datasets that it sees, and the files on the cluster that they are in.
        tries: the runs that it tries once more, the first one first.
    """

    profile: str
    profile_values: Mapping[str, Any]
    program: tuple[str, ...]
    args: tuple[str, ...]
    argv: bytes
    environment: bytes
    image: PushedSif
    code: str
    revision: Revision
    parent: str | None = None
    shell: Shell | None = None
    elements: tuple[Element, ...] = ()
    element_files: ElementFiles | None = None
    bundles: Bundles | None = None
    sweep: str | None = None
    packed: Mapping[str, str] = field(default_factory=dict)
    tries: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Code:
    """The code of one moment, and what git says of it."""

    snapshot: Snapshot
    revision: Revision


def read_code(project: Project, profile: Profile, site: str, *, whole: bool = False) -> Code:
    """A profile's code folder as it is now; see :func:`slipway.code.snapshot.take_snapshot`.

    What the tree that was last sent to this site has need not be sent, unless the ``whole`` is wanted.
    """
    source = profile.code_dir
    limit = parse_limit(profile.code_limit) if profile.code_limit else None
    base = None if whole else recall_sent(project.state, site, source)
    snapshot = take_snapshot(source, project.state, limit=limit, base=base)
    return Code(snapshot=snapshot, revision=find_revision(source))


def resolve_inputs(
    project: Project,
    request: Request,
    image: PushedSif,
    code: Code,
    packed: Mapping[str, str] | None = None,
) -> Inputs:
    """The inputs that a profile has now.

    Args:
        project: the checkout, whose key the environment is hashed with.
        request: the profile, and the program's arguments.
        image: the profile's image on the cluster.
        code: the profile's code.
        packed: the packed datasets that it is to see, and their files.
    """
    profile = request.profile
    environment = [f"{name}={value}" for name, value in sorted(profile.environment.items())]
    return Inputs(
        profile=profile.name,
        profile_values={
            **record_values(profile, project.root),
            "environment": {
                name: keyed_hash(project.key, name, value) for name, value in profile.environment.items()
            },
        },
        program=profile.program,
        args=request.args,
        argv=request.argv,
        environment=words_file(environment),
        image=image,
        code=code.snapshot.tree.name,
        revision=code.revision,
        shell=request.shell,
        elements=request.elements,
        element_files=request.element_files,
        bundles=request.bundles,
        sweep=request.sweep,
        packed=packed or {},
    )


def find_image(host: Host, scratch: Scratch, profile: Profile, site: Site) -> PushedSif:
    """The profile's image that the site has.

    Raises:
        ImageError: it was never pushed.
    """
    pushed = find_pushed(host, scratch, profile.image, find_runtime(site.container.command).form)
    if pushed is None:
        flags = f"--profile {profile.name} --site {site.name}"
        raise ImageError(
            f"{site.name} has no image {profile.image} in {scratch.images}; "
            f"`invoke push {flags}` brings it there"
        )
    return pushed
