"""The step that has a site build the profile's image."""

from __future__ import annotations

from slipway.errors import UsageError
from slipway.image.inputs import keep_inputs, read_inputs
from slipway.image.own import remember_built
from slipway.progress import explain_stop
from slipway.push.build_script import find_sent_bases, render_build
from slipway.push.remote_build import RemoteBuild, build_there
from slipway.push.upload import PushedSif
from slipway.runtime.base import SIF
from slipway.runtime.choose import find_runtime
from slipway.scheduler.find import find_scheduler
from slipway.steps.definition import read_definition
from slipway.steps.image import check_compression, pushing
from slipway.steps.session import Choice, Session
from slipway.workspace import workspace


@explain_stop("nothing of the build is left there but what was downloaded; the same command begins it anew")
def build_remotely(
    session: Session,
    choice: Choice,
    *,
    compression: str | None = None,
    as_job: bool = False,
    fresh: bool = False,
) -> tuple[PushedSif, bool]:
    """Have the site build the profile's image from a definition file; see :mod:`slipway.push.remote_build`.

    Args:
        session: the checkout's.
        choice: the profile and the site.
        compression: of the ``.sif``; what the site's file says without it.
        as_job: build in a job, also where the site's file does not say so.
        fresh: build also what is there.

    Raises:
        UsageError: the site has no Apptainer.
    """
    profile, site = choice.profile, choice.site
    if find_runtime(site.container.command).form != SIF:
        raise UsageError(f"--remote-build: {site.name} has {site.container.command}, which builds no .sif")
    compression = compression or site.container.compression
    check_compression(compression)
    inputs = read_inputs(session.project, profile)
    definition = read_definition(session, profile)
    template = (session.project.share / "cluster" / "build.sh").read_text(encoding="utf-8")
    job = profile.resources.over(site.defaults) if as_job or site.container.pull == "job" else None
    with (
        workspace(session.project.state / "tmp") as folder,
        pushing(session, site, profile.image, prune=False) as (host, scratch),
    ):
        bases = find_sent_bases(definition, scratch, session.project.state / "digests" / "definition")
        build = RemoteBuild(
            definition=definition,
            bases=bases,
            script=render_build(site, definition, bases, scratch, compression, template),
            client=session.client(site),
            job=job,
        )
        scheduler = find_scheduler(site.scheduler)
        built = build_there(host, scratch, build, scheduler, folder, session.progress, fresh=fresh)
    remember_built(session.project, definition.image)
    keep_inputs(session.project, definition.image, inputs)
    return built
