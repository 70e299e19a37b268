"""Tasks that make images and bring them to where they are used."""

from __future__ import annotations

from pathlib import Path

from invoke.context import Context
from invoke.tasks import task

from slipway.cli.common import PROFILE, SITE, open_session


@task(help={**PROFILE, "fresh": "Make it even if it is there."}, iterable=["set_"], auto_shortflags=False)
def base(context: Context, profile: str = "base", set_: list[str] | None = None, fresh: bool = False) -> None:
    """Make Debian's base images from its packages, where they cannot be pulled."""
    with open_session(context) as (session, screen):
        from slipway.steps import image

        for ref, made in image.ensure_base(
            session, session.profile(profile, set_ or ()), fresh=fresh
        ).items():
            screen.say(f"{ref} {'made from Debian packages' if made else 'is there already'}")


@task(
    help={
        **PROFILE,
        "fresh": "Build without the engine's cache.",
        "cache": "A registry, such as ghcr.io/me, that keeps layers for machines that have none.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def build(
    context: Context,
    profile: str = "base",
    set_: list[str] | None = None,
    fresh: bool = False,
    cache: str | None = None,
) -> None:
    """Build the profile's Docker image."""
    with open_session(context) as (session, screen):
        from slipway.steps import image

        built_image, built = image.build(
            session, session.profile(profile, set_ or ()), fresh=fresh, cache=cache
        )
        screen.say(
            f"{built_image.ref}  {built_image.id.rpartition(':')[2][:12]}  "
            f"{built_image.size_bytes / 1e6:,.0f} MB  " + ("built" if built else "unchanged, nothing built")
        )


@task(
    help={
        **PROFILE,
        **SITE,
        "from_def": "Build it with Apptainer alone, from a definition file that is made of the Dockerfile.",
        "remote_build": "Have the site build it, from that definition file or the profile's own.",
        "as_job": "With --remote-build: in a job, not on the login node.",
        "write": "Write that definition file and what it copies to this new folder, and build nothing.",
        "fresh": "Build it even if it is there; with a definition file only.",
        "compression": "zstd or gzip. Default: what the site's file says, else zstd.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def sif(
    context: Context,
    profile: str = "base",
    site: str | None = None,
    set_: list[str] | None = None,
    from_def: bool = False,
    remote_build: bool = False,
    as_job: bool = False,
    write: str | None = None,
    fresh: bool = False,
    compression: str | None = None,
) -> None:
    """Make the profile's .sif here, and send it nowhere; or have the site build it."""
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.steps import definition, image
        from slipway.steps import remote_build as remote_build_step
        from slipway.text.wording import megabytes

        words = [*(set_ or ()), *(["BUILDER=apptainer"] if from_def or remote_build else [])]
        if as_job and not remote_build:
            raise UsageError("--as-job is about --remote-build; add that")
        if remote_build:
            there, is_new = remote_build_step.build_remotely(
                session,
                session.choose(profile, site, words),
                compression=compression,
                as_job=as_job,
                fresh=fresh,
            )
            how = "built there" if is_new else "there already, nothing built"
            screen.say(f"{there.path}  {megabytes(there.size_bytes)}  {how}")
            return
        chosen = session.profile(profile, words)
        kind = compression or (session.site(site).container.compression if site else "zstd")
        image.check_compression(kind)
        if write:
            screen.say(str(definition.write_files(session, chosen, Path(write))))
            return
        if chosen.is_built_by_apptainer:
            made, is_new = definition.build_definition(session, chosen, compression=kind, fresh=fresh)
        elif fresh:
            raise UsageError(
                "--fresh is about a definition file; `invoke build --fresh` builds the image anew"
            )
        else:
            made, is_new = image.convert(session, chosen, kind)
        screen.say(
            f"{made.path}  {megabytes(made.size_bytes)}  {'made' if is_new else 'unchanged, not made'}"
        )


@task(
    help={
        **PROFILE,
        **SITE,
        "compression": "zstd or gzip. Default: what the site's file says, else zstd.",
        "prune": "Remove older images of this name there, unless a job uses them.",
        "from_registry": "Have the cluster pull HOST/NAME:TAG or …@sha256:… by itself; oras://… is a .sif.",
        "as_job": "Pull in a job, not on the login node.",
        "no_https": "The registry has no TLS.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def push(
    context: Context,
    profile: str = "base",
    site: str | None = None,
    set_: list[str] | None = None,
    compression: str | None = None,
    prune: bool = False,
    from_registry: str | None = None,
    as_job: bool = False,
    no_https: bool = False,
) -> None:
    """Convert the image to a .sif if needed, and send it to the site if it is not there."""
    with open_session(context) as (session, screen):
        from slipway.errors import UsageError
        from slipway.steps import image
        from slipway.text.wording import megabytes, sent

        choice = session.choose(profile, site, set_ or ())
        if from_registry:
            there, pulled = image.push_from_registry(
                session,
                choice,
                from_registry,
                compression=compression,
                prune=prune,
                as_job=as_job,
                https=not no_https,
            )
            how = "pulled from the registry" if pulled else "there already, nothing pulled"
            screen.say(f"{there.path}  {megabytes(there.size_bytes)}  {how}")
            return
        if as_job or no_https:
            raise UsageError("--as-job and --no-https are about --from-registry HOST/NAME:TAG; add that")
        sif, converted, pushed, transfer = image.push(session, choice, compression=compression, prune=prune)
        made = "converted" if converted else "unchanged, not converted"
        cost = sent(transfer, sif.size_bytes)
        screen.say(f"{pushed.path}  {megabytes(sif.size_bytes)}  {made}  {cost}")


@task(
    help={
        **PROFILE,
        "registry": "Where to, without the image's own name: ghcr.io/me, nvcr.io/org/team, docker.io/me.",
        "tag": "The tag. Default: the first digits of the hash of what the image was built from.",
        "sif": "Push the .sif too, as TAG.sif, for `apptainer pull oras://…`.",
        "compression": "Of the .sif: zstd or gzip. Default: zstd.",
        "no_https": "The registry has no TLS.",
        "json": "As JSON.",
    },
    iterable=["set_"],
    auto_shortflags=False,
)
def publish(
    context: Context,
    registry: str,
    profile: str = "base",
    tag: str | None = None,
    set_: list[str] | None = None,
    sif: bool = False,
    compression: str = "zstd",
    no_https: bool = False,
    json: bool = False,
) -> None:
    """Push the image to a registry, with the credentials of `docker login`, and print its digest."""
    with open_session(context) as (session, screen):
        from slipway.steps import image
        from slipway.terminal.terminal import print_json
        from slipway.text.wording import megabytes

        chosen = session.profile(profile, set_ or ())
        done = image.publish(
            session, chosen, registry, tag, sif=sif, compression=compression, https=not no_https
        )
        if json:
            print_json([one.listed() for one in done])
            return
        for one in done:
            layers = (
                f"{one.layers} layers, {one.sent_layers} sent"
                if one.reference.kind == "docker"
                else ("sent" if one.sent_layers else "there already, nothing sent")
            )
            screen.say(f"{one.reference}  {one.pinned}  {megabytes(one.size_bytes)}  {layers}")
