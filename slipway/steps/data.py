"""Steps that bring data and weights to a site."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.dataset import stage as dataset
from slipway.dataset.packed import use_folder
from slipway.dataset.staging import Staged
from slipway.errors import HostError, ImageError, UsageError
from slipway.image.engine import container_user, engine, find_image, run_container
from slipway.profile import Profile
from slipway.progress import Transfer, explain_stop
from slipway.project import Project
from slipway.site import Site
from slipway.steps.session import Choice, Session

if TYPE_CHECKING:
    from slipway.weights.stage import Weights

_GOES_ON = "what has arrived is kept; the same command goes on where this one was"


@explain_stop(_GOES_ON)
def find_weights(
    session: Session, name: str, *, file: Path | None = None, url: str | None = None, replace: bool = False
) -> tuple[Weights, bool]:
    """Have weights here: what ``url`` or ``file`` has, or what ``env/weights.json`` knows by this name.

    A project that has no such file takes the one that comes with Slipway.

    Returns:
        The weights, and whether they are new here; see :mod:`slipway.weights.stage`.

    Raises:
        UsageError: both ``url`` and ``file`` are given.
    """
    from slipway.weights.stage import fetch_weights, find_source, take_weights

    if file and url:
        raise UsageError("--file and --url: weights come from one place; leave one of them out")
    own, shared = (
        folder / "weights.json" for folder in (session.project.profiles, session.project.share / "env")
    )
    source = find_source(own if own.is_file() else shared, name)
    folder = session.project.state / "weights"
    if file:
        return take_weights(folder, file, source, replace=replace), True
    if url:
        # What is known of these weights holds wherever they come from.
        source = dataclasses.replace(source, url=url)
    return fetch_weights(folder, source, session.progress, replace=replace)


def load_weights(weights: Weights, profile: Profile) -> str:
    """Load weights with the profile's image where that is here; says how it went."""
    from slipway.weights.stage import load_in_image

    try:
        client = engine()
        image = find_image(client, profile.image)
    except HostError as error:
        return f"not loaded, since there is no engine here: {error}"
    if image is None:
        return f"not loaded, since {profile.image} is not built here"
    done = load_in_image(client, image, weights)
    return f"loaded by {image.ref}" if done else f"not loaded, since {image.ref} has no PyTorch"


@explain_stop(_GOES_ON)
def stage_weights(session: Session, site: Site, weights: Weights) -> Transfer | None:
    """Send weights to a site, unless they are there; see :func:`slipway.weights.stage.stage_weights`."""
    from slipway.weights import stage as weights_stage

    waiting = f"Waiting for another transfer of {weights.name} to {site.name}"
    with (
        session.lock(f"weights-{site.name}-{weights.name}", waiting),
        session.open_scratch(site) as (host, scratch),
    ):
        return weights_stage.stage_weights(host, scratch, weights, session.client(site), session.progress)


@explain_stop(_GOES_ON)
def stage(
    session: Session,
    site: Site,
    source: Path,
    name: str | None,
    *,
    delete: bool = False,
    verify: bool = False,
) -> Staged:
    """Send data under a name; see :func:`slipway.dataset.stage.stage`.

    Without one it is the folder's own, or that of a single file without its ending.
    """
    name = _name(source, name)
    dataset.check_dataset(source, name)
    with (
        session.lock(f"stage-{site.name}-{name}", f"Waiting for another stage of {name} to {site.name}"),
        session.open_scratch(site) as (host, scratch),
    ):
        staged = dataset.stage(
            host,
            scratch,
            source,
            name,
            session.client(site),
            session.progress,
            memory=session.project.state / "digests",
            delete=delete,
            verify=verify,
        )
        if use_folder(host, scratch, name):
            session.progress.note(
                f"{name} was packed until now; jobs from now on see the folder, and those that wait or run "
                "keep the packed file"
            )
    remember(session.project, site, name)
    return staged


@explain_stop(_GOES_ON)
def stage_packed(
    session: Session,
    choice: Choice,
    source: Path,
    name: str | None,
    *,
    verify: bool = False,
    via: str | None = None,
) -> Staged:
    """Send data under a name, as one file; see :func:`slipway.dataset.stage_packed.stage_packed`.

    ``via`` is a remote of rclone's that it goes by way of, as ``REMOTE:PATH``.
    """
    from slipway.dataset.packing import Packer, check_packed_name
    from slipway.dataset.stage_packed import stage_packed as stage_one_file
    from slipway.sif.store import tools_recipe
    from slipway.transfer.rclone import Via, parse_remote

    remote = parse_remote(via) if via is not None else None
    site, project = choice.site, session.project
    name = _name(source, name)
    dataset.check_dataset(source, name)
    check_packed_name(name)
    packer = Packer(
        state=project.state,
        script=project.share / "singularity" / "pack.py",
        tools=tools_recipe(project, choice.profile),
        progress=session.progress,
        compression=site.container.compression,
    )
    with (
        session.lock(f"stage-{site.name}-{name}", f"Waiting for another stage of {name} to {site.name}"),
        session.open_scratch(site) as (host, scratch),
        session.lock(f"pack-{name}", f"Waiting for another stage of {name}"),
    ):
        staged = stage_one_file(
            host,
            scratch,
            source,
            name,
            session.client(site),
            session.progress,
            packer,
            memory=project.state / "digests",
            verify=verify,
            via=Via(host=host, remote=remote, progress=session.progress) if remote else None,
        )
    remember(project, site, name)
    return staged


def check_packing(*, pack: bool, delete: bool, via: str | None) -> None:
    """Refuse what does not go together.

    Raises:
        UsageError: ``delete`` is of folders, and ``via`` of what is packed.
    """
    if pack and delete:
        raise UsageError(
            "--delete: a packed dataset holds nothing that is not here; leave it out "
            "(`invoke runs.prune --kind packed` removes older versions)"
        )
    if via is not None and not pack:
        raise UsageError(
            "--via sends one file, which costs a bucket one object: add --pack; jobs see the same folder"
        )


def _name(source: Path, name: str | None) -> str:
    return name or (source.stem if source.is_file() else source.resolve().name)


def remember(project: Project, site: Site, name: str) -> None:
    """Keep the name, for shells that complete it."""
    file = project.staged / site.name / name
    with suppress(OSError):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()


def make_scene(session: Session, profile: Profile) -> Path:
    """The demo's input: a scene that the profile's image renders; made once.

    Raises:
        ImageError: the image's program failed.
    """
    scene = session.project.state / "demo" / "room"
    if not scene.is_dir():
        session.progress.step("Rendering a room, 40 frames along a path that is known")
        make_data(profile, ["python3", "-m", "slam.demo.scene"], scene)
    return scene


def make_data(profile: Profile, program: Sequence[str], folder: Path) -> None:
    """Have a program of the profile's image make a folder of data; its last argument is the folder.

    Raises:
        ImageError: there is no such image, or its program failed.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    client = engine()
    image = find_image(client, profile.image)
    if image is None:
        raise ImageError(
            f"there is no image {profile.image} yet; `invoke build --profile {profile.name}` makes it"
        )
    lines: list[str] = []
    code = run_container(
        client,
        image,
        [*program, f"/made/{folder.name}"],
        mounts={folder.parent: "/made"},
        user=container_user(client),
        listen=lines.append,
    )
    if code:
        raise ImageError(f"{profile.image} could not make {folder.name} (exit code {code}): {''.join(lines)}")
