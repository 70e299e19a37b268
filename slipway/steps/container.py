"""Steps with a profile's container on this machine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import EngineError, ImageError, UsageError
from slipway.image.engine import Image, engine, find_image
from slipway.image.inputs import explain_stale_here
from slipway.image.own import explain_other
from slipway.local import container as local
from slipway.local.copy import Copied, copy_folder, copy_out
from slipway.local.machine import find_machine
from slipway.local.mounts import LocalFolders, environment, find_mounts
from slipway.local.spec import LocalContainer, container_name
from slipway.profile import Profile, record_values
from slipway.steps.engine_image import refuse_definition
from slipway.steps.session import Session

if TYPE_CHECKING:
    from docker import DockerClient

# Runs a program in a container of the engine to its end, and returns its exit code.
Attach = Callable[["DockerClient", str], int]


def start(session: Session, profile: Profile) -> local.Started:
    """Have the profile's container run.

    Raises:
        ImageError: its image was not built.
        EngineError: the engine refuses it.
    """
    refuse_definition(profile, "`invoke start`")
    client = engine()
    wanted = describe(session, client, profile)
    if other := explain_other(session.project, wanted.image, profile.name):
        session.progress.note(f"{other}. The container is of that one")
    elif stale := explain_stale_here(session.project, profile, wanted.image):
        session.progress.note(stale)
    if profile.resources.gpu_count and wanted.machine.gpus is None:
        session.progress.note(
            "This machine's engine has no GPUs to give (its runtime `nvidia`, or CDI); the container has none"
        )
    session.progress.step(f"Starting {wanted.name}")
    return local.start(client, wanted)


def describe(session: Session, client: DockerClient, profile: Profile) -> LocalContainer:
    """The profile's container as it would be started now.

    Raises:
        ImageError: its image was not built.
        ConfigError: a folder that the profile names is not there.
    """
    project = session.project
    folders = LocalFolders(project.state, profile.name)
    machine = find_machine(client, folders.folder, session.progress.note, x11=profile.x11)
    code = profile.code_dir
    if not code.is_dir():
        raise UsageError(f"CODE_DIR is {code}, which is not a folder; name the folder of your code")
    return LocalContainer(
        name=container_name(project.state, profile.name),
        profile=profile,
        image=find_built(client, profile),
        mounts=find_mounts(profile, project.root, folders, machine, code=code, out=folders.out),
        environment=environment(profile, machine),
        machine=machine,
        state=project.state,
    )


def find_built(client: DockerClient, profile: Profile) -> Image:
    """The profile's image here.

    Raises:
        ImageError: there is none.
    """
    image = find_image(client, profile.image)
    if image is None:
        raise ImageError(
            f"there is no image {profile.image} here; `invoke build --profile {profile.name}` builds it"
        )
    return image


def enter(session: Session, profile: Profile, attach: Attach) -> int:
    """Run a program in the profile's container, which runs; returns its exit code.

    Raises:
        UsageError: it does not run.
    """
    client = engine()
    name = container_name(session.project.state, profile.name)
    found = local.find_running(client, name, profile.name)
    with local.engine_errors(name):
        return attach(client, str(found.id))


def copy(session: Session, profile: Profile, path: str | None, into: Path | None) -> Copied:
    """Copy what the container wrote to ``/out``, also after its end, or another path of it while it runs.

    Args:
        session: the checkout's.
        profile: the profile.
        path: a path in the container; ``None`` for ``/out``.
        into: the folder that it is copied into. Default: one of the profile's in ``results/``.

    Raises:
        UsageError: there is nothing to copy.
    """
    folder = into or session.project.results / f"local-{profile.name}"
    if path is None:
        out = LocalFolders(session.project.state, profile.name).out
        if not out.is_dir() or not any(out.iterdir()):
            raise UsageError(f"profile {profile.name}'s container has written nothing to /out")
        session.progress.step(f"Copying /out to {folder}")
        return copy_folder(out, folder)
    name = container_name(session.project.state, profile.name)
    found = local.find_running(engine(), name, profile.name)
    session.progress.step(f"Copying {path} to {folder}")
    with local.engine_errors(name):
        return copy_out(found, path, folder)


def stop(session: Session, profile: Profile) -> bool:
    """End the profile's container and remove it; what is in its ``/out`` stays. False where there is none."""
    session.progress.step(f"Ending the container of {profile.name}")
    return local.stop(engine(), container_name(session.project.state, profile.name))


def resolve(session: Session, profile: Profile, site: str | None) -> dict[str, Any]:
    """All that is configured, as values: profile, site, image, and the container on this machine.

    Values of ``ENV_…`` are left out: they may be secrets.
    """
    client = None
    try:
        client = engine()
    except EngineError as error:
        session.progress.note(f"What is here cannot be said: {error}")
    image = find_image(client, profile.image) if client else None
    values = record_values(profile, session.project.root)
    values["environment"] = sorted(profile.environment)
    resolved: dict[str, Any] = {
        "profile": values,
        "written": dict(sorted(profile.origins.items())),
        "site": session.site(site).model_dump(mode="json") if site else None,
        "image": {"name": profile.image, "id": image.id, "size_bytes": image.size_bytes} if image else None,
        "container": None,
    }
    if client and image:
        resolved["container"] = _container(client, describe(session, client, profile))
    return resolved


def _container(client: DockerClient, wanted: LocalContainer) -> dict[str, Any]:
    found = local.find(client, wanted.name)
    return {
        "name": wanted.name,
        "runs": found is not None and found.status == "running",
        "mounts": [
            {"here": str(one.here), "there": str(one.there), "writable": one.writable}
            for one in wanted.mounts
        ],
        "environment": sorted(wanted.environment),
        "ports": [{"here": port.here, "there": port.there} for port in wanted.profile.ports],
        "user": wanted.machine.user,
        "gpus": wanted.machine.gpus,
        "display": wanted.machine.display,
    }
