"""Steps that make images and bring them to where they are used."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from functools import partial
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from slipway.errors import ImageError, UsageError
from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.image.engine import Image, engine, find_image
from slipway.image.inputs import explain_stale_here, keep_inputs, read_inputs
from slipway.image.look import look_for_image
from slipway.image.own import explain_other, remember_built
from slipway.image.recipe import profile_recipe
from slipway.profile import Profile
from slipway.progress import Transfer, explain_stop
from slipway.push.admit import admit, forget
from slipway.push.prune import prune_images
from slipway.push.upload import PushedSif, push_sif, there_command
from slipway.runtime.base import ARCHIVE, SIF, SQSH, Form
from slipway.runtime.choose import find_runtime
from slipway.scheduler.find import find_scheduler
from slipway.shell import LocalShell
from slipway.sif.kept import COMPRESSIONS, Sif, find_sif
from slipway.site import Site
from slipway.steps.engine_image import refuse_definition
from slipway.steps.session import Choice, Session

if TYPE_CHECKING:
    from docker import DockerClient

    from slipway.registry.publish import Published


@explain_stop("the image that was being made is not there; the same command begins it anew")
def ensure_base(session: Session, profile: Profile, *, fresh: bool = False) -> dict[str, bool]:
    """Make Debian's images that Slipway and the profile start from, where they cannot be pulled.

    Returns:
        Each image, and whether it was made from packages now. Others, such as NVIDIA's, are left to
        `build`, which pulls them.
    """
    from slipway.image import base

    refs = (profile.tools_base_image, profile.base_image, profile.runtime_image)
    debian = dict.fromkeys(ref for ref in refs if ref and base.parse_suite(ref))
    client, mirror = engine(), profile.debian_mirror
    return {ref: base.ensure_base(client, ref, mirror, session.progress, fresh=fresh) for ref in debian}


@explain_stop("the engine keeps the steps that are done; the same command goes on behind them")
def build(
    session: Session,
    profile: Profile,
    *,
    fresh: bool = False,
    cache: str | None = None,
    compression: str = "zstd",
) -> tuple[Image, bool]:
    """Build a profile's image; see :func:`slipway.image.build.build_image`. Others who build it wait.

    With ``cache``, a registry, layers come from there; see :mod:`slipway.registry.layercache`. What
    Apptainer builds has the ``compression``.
    """
    lock = session.lock(f"build-{profile.name}", f"Waiting for another build of profile {profile.name}")
    with lock:
        if profile.is_built_by_apptainer:
            if cache:
                raise UsageError("--cache is of layers that Docker builds; Apptainer makes none")
            from slipway.steps.definition import build_definition, image_of

            sif, is_new = build_definition(session, profile, compression=compression, fresh=fresh)
            return image_of(sif), is_new
        # What is changed while it is built is not in it.
        inputs = read_inputs(session.project, profile)
        image, is_new = _build(session, profile, fresh=fresh, cache=cache)
    remember_built(session.project, image)
    keep_inputs(session.project, image, inputs)
    return image, is_new


def _build(session: Session, profile: Profile, *, fresh: bool, cache: str | None) -> tuple[Image, bool]:
    from slipway.image.build import build_image
    from slipway.steps.definition import find_revision

    recipe = profile_recipe(profile)
    for source in recipe.sources:
        session.progress.step(str(source))
    recipe = replace(recipe, remarks=find_revision(session, recipe.context))
    if cache:
        from slipway.registry.layercache import build_with_cache

        return build_with_cache(engine(), recipe, cache, session.progress, fresh=fresh)
    return build_image(engine(), recipe, session.progress, fresh=fresh)


def convert(
    session: Session, profile: Profile, compression: str = "zstd", *, whole: bool = True
) -> tuple[Sif, bool]:
    """A profile's image as a ``.sif``, and whether it is new; see :func:`slipway.sif.store.make_sif`.

    Raises:
        ImageError: the image was not built yet.
        UsageError: there is no such compression.
    """
    check_compression(compression)
    if profile.is_built_by_apptainer:
        from slipway.steps.definition import convert_definition

        return convert_definition(session, profile, compression)
    profile_recipe(profile)
    # To load docker-py takes longer than all else where nothing has changed.
    seen = look_for_image(profile.image)()
    kept = find_sif(session.project, seen, compression) if seen is not None else None
    if seen is not None and kept is not None and not (whole and kept.holes):
        _tell_stale(session, profile, seen)
        return kept, False
    client = engine()
    image = _built(session, client, profile)
    return _converted(session, client, image, profile, compression, whole=whole)


def make_for(
    session: Session, profile: Profile, site: Site, compression: str | None = None
) -> tuple[Sif, bool]:
    """A profile's image in the form that a site's container runtime takes, and whether that is new.

    Raises:
        ImageError: the image was not built yet.
        UsageError: there is no such compression.
    """
    form = find_runtime(site.container.command).form
    if form in (SIF, SQSH):
        chosen = compression or site.container.compression
        sif, is_new = convert(session, profile, chosen, whole=form != SIF)
        return _in_form(session, sif, form), is_new
    if compression:
        raise UsageError(f"--compression {compression}: what {site.name} takes has none")
    refuse_definition(profile, f"What {site.name} takes ({site.container.command})")
    profile_recipe(profile)
    client = engine()
    return _other_form(session, client, _built(session, client, profile), site)


def _other_form(
    session: Session, client: DockerClient, image: Image, site: Site, *, as_newest: bool = True
) -> tuple[Sif, bool]:
    if find_runtime(site.container.command).form == ARCHIVE:
        return _archived(session, client, image, site, as_newest=as_newest)
    from slipway.push.reference import publish_reference

    assert site.image_registry is not None  # noqa: S101 - such sites have one
    with explain_stop("what has arrived stays in the registry; the same command sends the rest"):
        return publish_reference(client, image, site.image_registry, session.project, session.progress)


def _archived(
    session: Session, client: DockerClient, image: Image, site: Site, *, as_newest: bool = True
) -> tuple[Sif, bool]:
    from slipway.push.archive import make_archive, make_reference

    if is_there(site, image):
        return make_reference(image, session.project), False
    with explain_stop("nothing of the archive is kept; the same command begins it anew"):
        return make_archive(client, image, session.project, session.progress, as_newest=as_newest)


def is_there(site: Site, image: Image) -> bool:
    """Whether jobs run on this machine, by the engine that has the image."""
    if not (site.login.is_this_machine and site.runs_where_it_logs_in):
        return False
    if find_runtime(site.container.command).form != ARCHIVE:
        return False
    asked = LocalShell().run([site.container.command, "image", "inspect", "--format", "{{.Id}}", image.id])
    # Podman leaves out what kind of hash it is.
    return asked.ok and asked.stdout.strip().removeprefix("sha256:") == image.id.removeprefix("sha256:")


def older_for(session: Session, profile: Profile, image: Image, site: Site) -> Sif:
    """An image of before in the form that a site takes; what was made of newer ones stays as it is."""
    form = find_runtime(site.container.command).form
    if form in (SIF, SQSH):
        sif = convert_older(session, profile, image, site.container.compression)
        return _in_form(session, sif, form, as_newest=False)
    return _other_form(session, engine(), image, site, as_newest=False)[0]


def _in_form(session: Session, sif: Sif, form: Form, *, as_newest: bool = True) -> Sif:
    """A ``.sif`` as it is, or its squashfs."""
    if form != SQSH:
        return sif
    from slipway.push.archive import make_squashfs

    return make_squashfs(sif, session.project, session.progress, as_newest=as_newest)


def convert_older(session: Session, profile: Profile, image: Image, compression: str) -> Sif:
    """An image of before as a ``.sif``; what was made of newer ones stays as it is."""
    from slipway.sif.store import make_sif, tools_recipe

    tools = tools_recipe(session.project, profile)
    made, _ = make_sif(
        engine(), image, session.project, tools, session.progress, compression=compression, as_newest=False
    )
    return made


@explain_stop("nothing of the conversion is kept; the same command begins it anew")
def _converted(
    session: Session,
    client: DockerClient,
    image: Image,
    profile: Profile,
    compression: str,
    *,
    whole: bool,
) -> tuple[Sif, bool]:
    from slipway.sif.store import make_sif, tools_recipe

    tools, progress = tools_recipe(session.project, profile), session.progress
    return make_sif(client, image, session.project, tools, progress, compression=compression, whole=whole)


def _built(session: Session, client: DockerClient, profile: Profile) -> Image:
    image = find_image(client, profile.image)
    if image is None:
        raise ImageError(
            f"there is no image {profile.image} yet; `invoke build --profile {profile.name}` makes it"
        )
    _tell_stale(session, profile, image)
    return image


def _tell_stale(session: Session, profile: Profile, image: Image) -> None:
    note = explain_other(session.project, image, profile.name)
    if note or (note := explain_stale_here(session.project, profile, image)):
        session.progress.note(note)


def push(
    session: Session, choice: Choice, *, compression: str | None = None, prune: bool = False
) -> tuple[Sif, bool, PushedSif, Transfer | None]:
    """Convert if needed, and send; says whether it was converted now, and what was sent.

    With ``prune``, images of that name that are older and that no job uses are removed, those that are
    older than the newest before there has to be room for another.
    """
    sif, converted = make_for(session, choice.profile, choice.site, compression)
    client = session.client(choice.site)
    ahead = partial(there_command, sif=sif, client=client)
    with pushing(session, choice.site, sif.name, prune=prune, ahead=[ahead]) as (host, scratch):
        pushed, transfer = push_sif(host, scratch, sif, client, session.progress, project=session.project)
        admit(host, choice.site, pushed, session.progress)
    return sif, converted, pushed, transfer


def send_sif(
    session: Session, site: Site, sif: Sif, host: Host, scratch: Scratch, *, as_newest: bool = True
) -> tuple[PushedSif, Transfer | None]:
    """Send a ``.sif`` over a connection that is open; see :func:`slipway.push.upload.push_sif`."""
    client, progress = session.client(site), session.progress
    with _push_lock(session, site, sif.name):
        pushed, transfer = push_sif(
            host, scratch, sif, client, progress, as_newest=as_newest, project=session.project
        )
        admit(host, site, pushed, progress)
    return pushed, transfer


def _push_lock(session: Session, site: Site, name: str) -> AbstractContextManager[None]:
    return session.lock(f"push-{site.name}-{name}", f"Waiting for another push of {name} to {site.name}")


@contextmanager
def pushing(
    session: Session,
    site: Site,
    name: str,
    *,
    prune: bool,
    ahead: Sequence[Callable[[Scratch], Sequence[str]]] = (),
) -> Iterator[tuple[Host, Scratch]]:
    """A site's scratch, to which nobody else of this checkout pushes an image of this name meanwhile.

    ``ahead`` is asked first; see :func:`slipway.host.scratch.open_scratch`.
    """
    scheduler = find_scheduler(site.scheduler)
    with _push_lock(session, site, name), session.open_scratch(site, ahead=ahead) as (host, scratch):

        def tidy(*, tell_kept: bool) -> None:
            def gone(paths: Sequence[PurePosixPath]) -> None:
                forget(host, site, paths)

            if prune:
                prune_images(
                    host, scratch, name, scheduler, session.progress, tell_kept=tell_kept, forget=gone
                )

        tidy(tell_kept=False)
        yield host, scratch
        tidy(tell_kept=True)


@explain_stop(
    "the layers that have arrived there are kept; the same command goes on with those that are missing"
)
def push_from_registry(
    session: Session,
    choice: Choice,
    name: str,
    *,
    compression: str | None = None,
    prune: bool = False,
    as_job: bool = False,
    https: bool = True,
) -> tuple[PushedSif, bool]:
    """Have the site pull the profile's image from a registry; see :mod:`slipway.push.fromregistry`.

    Args:
        session: the checkout's.
        choice: the profile and the site.
        name: the image there, ``HOST/NAME:TAG`` or ``…@sha256:…``; with ``oras://`` a ``.sif``.
        compression: of a Docker image's ``.sif``; what the site's file says without it.
        prune: as with :meth:`push`.
        as_job: pull in a job, also where the site's file does not say so.
        https: off for a registry without TLS.
    """
    from slipway.push.fromregistry import prepare_pull, pull_image
    from slipway.push.pull_script import render_pull
    from slipway.registry.reference import parse_reference

    profile, site = choice.profile, choice.site
    if find_runtime(site.container.command).form != SIF:
        raise UsageError(
            f"--from-registry: {site.name} has {site.container.command}, which takes what `invoke push` sends"
        )
    compression = compression or site.container.compression
    check_compression(compression)
    pull = prepare_pull(
        profile.image,
        parse_reference(name),
        profile.platform,
        session.progress,
        https=https,
        compression=compression,
    )
    template = (session.project.share / "cluster" / "pull.sh").read_text(encoding="utf-8")
    job = profile.resources.over(site.defaults) if as_job or site.container.pull == "job" else None
    with pushing(session, site, profile.image, prune=prune) as (host, scratch):
        script = render_pull(site, pull, scratch, template)
        scheduler, client = find_scheduler(site.scheduler), session.client(site)
        return pull_image(host, scratch, pull, script, client, scheduler, session.progress, job)


@explain_stop("what has arrived stays in the registry; the same command sends the rest")
def publish(
    session: Session,
    profile: Profile,
    registry: str,
    tag: str | None,
    *,
    sif: bool = False,
    compression: str = "zstd",
    https: bool = True,
) -> list[Published]:
    """Push the profile's image to a registry, and its ``.sif`` too if that is wanted.

    Args:
        session: the checkout's.
        profile: whose image.
        registry: where to; see :func:`slipway.registry.publish.choose_reference`.
        tag: as there.
        sif: push the ``.sif`` too.
        compression: of the ``.sif``.
        https: off for a registry without TLS; the engine has a list of its own for that.

    Raises:
        ImageError: the image was not built yet.
        RegistryError: see :mod:`slipway.registry.publish`.
        UsageError: that is no place for an image.
    """
    from slipway.registry.publish import choose_reference, publish_image, publish_sif, sif_reference

    check_compression(compression)
    refuse_definition(profile, "`invoke publish`")
    client = engine()
    image = _built(session, client, profile)
    reference = choose_reference(registry, image, tag)
    made = None
    if sif:
        # What can go wrong here is not to leave half of it out there.
        sif_reference(reference)
        made, _ = _converted(session, client, image, profile, compression, whole=True)
    done = [publish_image(client, image, reference, session.progress)]
    if made:
        done.append(publish_sif(made, done[0], session.progress, https=https))
    return done


def check_compression(name: str) -> None:
    """Refuse a compression that there is not.

    Raises:
        UsageError: there is none of this name.
    """
    if name not in COMPRESSIONS:
        raise UsageError(f"--compression {name}: write {' or '.join(COMPRESSIONS)}")
