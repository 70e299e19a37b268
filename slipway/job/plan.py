"""What is asked for, made ready to be submitted."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timezone

from slipway.code.checkout import Revision, find_revision
from slipway.code.size_limit import parse_limit
from slipway.code.snapshot import Snapshot, take_snapshot
from slipway.errors import ImageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.job.run import Run, new_run_id
from slipway.job.script import Job, directives, render_script, words_file
from slipway.profile import Profile
from slipway.project import Project
from slipway.push.upload import PushedSif, find_pushed
from slipway.resources import Resources
from slipway.scheduler.limits import ResourceRequest, check_partition
from slipway.site import Site

_SECRET = re.compile(r"KEY|TOKEN|SECRET|PASS|CREDENTIAL", re.I)


@dataclass(frozen=True, kw_only=True)
class Request:
    """What a user asks for: the program's arguments, and resources that go before all defaults.

    Raises:
        JobError: it cannot be, or would never start, as far as that is known here.
    """

    profile: Profile
    site: Site
    args: tuple[str, ...]
    resources: Resources

    def __post_init__(self) -> None:
        """Refuse what can be refused before anybody is asked."""
        check_partition(self.resource_request, self.site)
        words_file([*self.profile.program, *self.args])

    @property
    def resource_request(self) -> ResourceRequest:
        """What SLURM is asked for, by the command line, the profile and the site together."""
        profile, site = self.profile, self.site
        origins = {
            **{key: f"defaults.{key} in cluster/{site.name}.yaml" for key in _named(site.defaults)},
            **{key: _written(key.upper(), profile.origins) for key in _named(profile.resources)},
            **{key: f"--{key}" for key in _named(self.resources)},
        }
        wanted = self.resources.over(profile.resources).over(site.defaults)
        return ResourceRequest(resources=wanted, origins=origins)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run that is ready to be submitted: its record, its script, and where its code will be."""

    run: Run
    script: str
    options: tuple[str, ...]
    revision: Revision


def snapshot_code(project: Project, request: Request) -> AbstractContextManager[Snapshot]:
    """The profile's code folder as it is now; see :func:`slipway.code.snapshot.take_snapshot`."""
    profile = request.profile
    limit = parse_limit(profile.code_limit) if profile.code_limit else None
    return take_snapshot(project.root / profile.code_dir, project.state / "tmp", limit=limit)


def _named(resources: Resources) -> Iterable[str]:
    return resources.model_dump(exclude_none=True, exclude={"sbatch"})


def _written(key: str, origins: Mapping[str, str]) -> str:
    where = origins.get(key, "the profile")
    return where if where.startswith("--set") else f"{key} in {where}"


def make_plan(project: Project, request: Request, host: Host, scratch: Scratch, snapshot: Snapshot) -> Plan:
    """The record and the script of a new run, with the image that the site has and the code of ``snapshot``.

    Raises:
        ImageError: the site has no such image.
    """
    profile, site = request.profile, request.site
    wanted = request.resource_request.resources
    pushed = _pushed(host, scratch, request)
    now = datetime.now(timezone.utc).replace(microsecond=0)
    run_id = new_run_id(profile.name, now)
    job = Job(
        run_id=run_id,
        run_dir=scratch.runs / run_id,
        image=pushed.path,
        code=scratch.code / snapshot.tree,
        data=scratch.data,
        weights=scratch.weights,
        resources=wanted,
        home=profile.mount_home,
        cache=scratch.root / "cache" / profile.cache if profile.cache else None,
    )
    revision = find_revision(project.root / profile.code_dir)
    run = Run(
        run_id=run_id,
        site=site.name,
        profile=profile.name,
        submitted=now,
        program=profile.program,
        args=request.args,
        commit=revision.commit,
        dirty=revision.dirty,
        image_id=pushed.image_id,
        sif=str(pushed.path),
        sif_sha256=pushed.sha256,
        code=snapshot.tree,
        resources=wanted.model_dump(mode="json"),
        profile_values={
            **profile.model_dump(mode="json", exclude={"build_args"}),
            "environment": _masked(profile.environment),
        },
        site_values=site.model_dump(mode="json"),
        run_dir=str(job.run_dir),
    )
    template = (project.sites / "job.sh").read_text(encoding="utf-8")
    script, options = render_script(job, site, template), tuple(directives(job, site))
    return Plan(run=run, script=script, options=options, revision=revision)


def _pushed(host: Host, scratch: Scratch, request: Request) -> PushedSif:
    pushed = find_pushed(host, scratch, request.profile.image)
    if pushed is None:
        flags = f"--profile {request.profile.name} --site {request.site.name}"
        raise ImageError(
            f"{request.site.name} has no image {request.profile.image} in {scratch.images}; "
            f"`invoke push {flags}` brings it there"
        )
    return pushed


def _masked(environment: Mapping[str, str]) -> dict[str, str]:
    return {name: "***" if _SECRET.search(name) else value for name, value in environment.items()}
