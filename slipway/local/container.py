"""A profile's container in the engine: started, found, ended, and what is copied out of it."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from slipway.errors import EngineError, HostError, UsageError
from slipway.image.engine import explain_folders
from slipway.local.spec import CONFIG, HOME, RUN, LocalContainer

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

_STOP_S = 5


@dataclass(frozen=True, kw_only=True)
class Started:
    """A container that runs.

    Attributes:
        name: the engine's name for it.
        was_there: it ran already.
        is_outdated: it was started with other settings, or from another image.
    """

    name: str
    was_there: bool
    is_outdated: bool


@dataclass(frozen=True, kw_only=True)
class Left:
    """How a container stood that nobody looked after: its exit code, and when it ended, if it had.

    Attributes:
        exit_code: 137 where it still ran, or never did.
        ended_s: in seconds since 1970; ``None`` where it still ran, or never did.
    """

    exit_code: int = 137
    ended_s: int | None = None


def start(client: DockerClient, wanted: LocalContainer) -> Started:
    """Have a profile's container run; one that runs is left as it is.

    Raises:
        EngineError: the engine refuses it; nothing is left of it.
    """
    config = wanted.config()
    digest = config["Labels"][CONFIG]
    with engine_errors(wanted.name):
        found = find(client, wanted.name)
        if found is not None:
            is_same = found.labels.get(CONFIG) == digest
            if found.status == "running":
                return Started(name=wanted.name, was_there=True, is_outdated=not is_same)
            found.remove(force=True, v=True)
        container = create(client, wanted, config)
        try:
            container.start()
        except BaseException:
            container.remove(force=True, v=True)
            raise
    return Started(name=wanted.name, was_there=False, is_outdated=False)


def create(client: DockerClient, wanted: LocalContainer, config: dict[str, Any]) -> Container:
    """Make a container of this configuration, in which the caller is a user with a name.

    Raises:
        docker.errors.APIError: the engine refuses it.
    """
    # docker-py's own way of creating containers does not know all of these words.
    api: Any = client.api
    made = api.create_container_from_config(config, wanted.name)
    container = client.containers.get(made["Id"])
    try:
        if wanted.machine.user not in (None, "0:0"):
            _name_user(container, str(wanted.machine.user))
    except BaseException:
        container.remove(force=True, v=True)
        raise
    return container


def stop(client: DockerClient, name: str) -> bool:
    """End a container and remove it; false where there is none."""
    with engine_errors(name):
        found = find(client, name)
        if found is None:
            return False
        if found.status == "running":
            # Programs in it may save.
            found.stop(timeout=_STOP_S)
        found.remove(force=True, v=True)
        return True


def remove_of_run(client: DockerClient, run_id: str) -> Left | None:
    """End and remove the container of a job of this machine; ``None`` where there is none.

    Raises:
        EngineError: the engine does not remove it.
    """
    left = None
    with engine_errors(run_id):
        for found in client.containers.list(all=True, filters={"label": f"{RUN}={run_id}"}):
            state = found.attrs["State"]
            left = Left()
            if found.status == "exited":
                ended = datetime.fromisoformat(f"{state['FinishedAt'][:19]}+00:00")
                left = Left(exit_code=int(state["ExitCode"]), ended_s=int(ended.timestamp()))
            found.remove(force=True, v=True)
    return left


def find(client: DockerClient, name: str) -> Container | None:
    """The container of a name."""
    import docker.errors

    try:
        return client.containers.get(name)
    except docker.errors.NotFound:
        return None


def find_running(client: DockerClient, name: str, profile: str) -> Container:
    """The container of a name that runs.

    Raises:
        UsageError: there is none.
    """
    with engine_errors(name):
        found = find(client, name)
        if found is None or found.status != "running":
            raise UsageError(
                f"profile {profile} has no container that runs here; `invoke start --profile {profile}` "
                "starts one"
            )
        return found


@contextmanager
def engine_errors(name: str) -> Iterator[None]:
    """What the engine refuses, in our own words."""
    import docker.errors

    try:
        yield
    except docker.errors.APIError as error:
        said = str(error.explanation or error)
        hint = ""
        if "port is already allocated" in said or "address already in use" in said:
            hint = "; another program has this port: name another one in PORTS, such as 9000:8888"
        hint = hint or explain_folders(said)
        raise EngineError(f"the engine does not start {name}: {said}{hint}") from error
    except OSError as error:
        raise HostError(f"the connection to the engine was lost: {error}") from error


def _name_user(container: Container, user: str) -> None:
    """Give the caller's number a name in the container: programs look for it."""
    uid, _, gid = user.partition(":")
    text = _read(container, "/etc/passwd")
    if any(line.split(":")[2:3] == [uid] for line in text.splitlines()):
        return
    line = f"slipway:x:{uid}:{gid}::{HOME}:/bin/sh\n"
    content = (text if text.endswith("\n") or not text else f"{text}\n") + line
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        member = tarfile.TarInfo("passwd")
        encoded = content.encode("utf-8", "surrogateescape")
        member.size, member.mode = len(encoded), 0o644
        archive.addfile(member, io.BytesIO(encoded))
    container.put_archive("/etc", buffer.getvalue())


def _read(container: Container, path: str) -> str:
    import docker.errors

    try:
        chunks, _ = container.get_archive(path)
    except docker.errors.NotFound:
        return ""
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks)), mode="r:") as archive:
        file = archive.extractfile(archive.getmembers()[0])
        return file.read().decode("utf-8", "surrogateescape") if file else ""
