"""Docker images in the engine: found by their names, and run."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import EngineError, HostError

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

INPUTS = "slipway.inputs"
# The first that builds and pulls for a platform.
LEAST_API = "1.32"


@dataclass(frozen=True, kw_only=True)
class Image:
    """A Docker image: a name, the id of its content, its labels and its size in bytes."""

    ref: str
    id: str
    labels: Mapping[str, str]
    size_bytes: int

    @property
    def name(self) -> str:
        """The name without the tag."""
        return self.ref.rpartition(":")[0]


def engine() -> DockerClient:
    """A connection to the Docker engine that the ``docker`` command would use.

    Raises:
        HostError: docker-py is missing.
        EngineError: the engine is not installed, does not run, does not let this user in, or is too old.
    """
    try:
        import docker
        from docker.context import ContextAPI
    except ImportError as error:
        raise HostError(_why_no_module()) from error
    client = None
    try:
        if os.environ.get("DOCKER_HOST"):
            client = docker.from_env()
        else:
            context = ContextAPI.get_current_context()
            client = docker.DockerClient(base_url=context.Host, tls=context.TLSConfig or False)
        client.ping()
        version = client.version()
    except Exception as error:  # docker-py lets those of requests and urllib3 through
        if client is not None:
            client.close()
        raise EngineError(_why_no_engine(error)) from error
    if _number(client.api.api_version) < _number(LEAST_API):
        client.close()
        raise EngineError(
            f"this Docker engine is {version.get('Version', 'of an unknown version')} and speaks its "
            "API up to "
            f"{client.api.api_version}; {LEAST_API} is needed, which is Docker 17.09 or later"
        )
    return client


def find_image(client: DockerClient, name: str) -> Image | None:
    """The image of a name, such as ``slipway-cpu``, or ``None``."""
    import docker.errors

    ref = full_name(name)
    try:
        return read_image(ref, client.images.get(ref).attrs)
    except docker.errors.ImageNotFound:
        return None


def find_by_id(client: DockerClient, name: str, image_id: str) -> Image | None:
    """The image of an id, or ``None``; one that has no name any more gets the tag ``NAME:replay-…``."""
    import docker.errors

    try:
        found = client.images.get(image_id)
    except (docker.errors.ImageNotFound, docker.errors.NullResource):
        return None
    tags = [tag for tag in found.tags if tag.rpartition(":")[0] == name]
    tag = f"replay-{image_id.removeprefix('sha256:')[:12]}"
    if not tags:
        # An engine gives out an image under one of its names. It also keeps what has one.
        found.tag(name, tag)
    return read_image(tags[0] if tags else f"{name}:{tag}", found.attrs)


def full_name(name: str) -> str:
    """A name with its tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def read_image(ref: str, attributes: Mapping[str, Any]) -> Image:
    """What the engine says of an image."""
    labels = attributes["Config"].get("Labels") or {}
    return Image(ref=ref, id=attributes["Id"], labels=labels, size_bytes=attributes["Size"])


def current_user() -> str | None:
    """``UID:GID`` of this process, for a container's files; ``None`` on Windows, which has none."""
    return f"{os.getuid()}:{os.getgid()}" if hasattr(os, "getuid") else None


def run_container(
    client: DockerClient,
    image: Image,
    command: Sequence[str],
    *,
    mounts: Mapping[Path, str],
    listen: Callable[[str], None],
    user: str | None = None,
    writable: bool = True,
) -> int:
    """Run a program in a container without a network, and remove the container.

    Args:
        client: the engine.
        image: the image.
        command: the program and its arguments, in place of the image's own.
        mounts: folders and files of this machine, and where the program finds them.
        listen: is given what the program prints.
        user: ``UID:GID``; the image's own without it.
        writable: whether the program may write to them.

    Returns:
        The program's exit code.
    """
    container = client.containers.create(
        image.id,
        entrypoint=list(command),
        volumes={
            str(here): {"bind": there, "mode": "rw" if writable else "ro"} for here, there in mounts.items()
        },
        user=user,
        network_mode="none",
    )
    return _attend(container, listen)


def run_configured(client: DockerClient, config: Mapping[str, Any], listen: Callable[[str], None]) -> int:
    """Run a container of the engine's own configuration, and remove it; see :func:`run_container`.

    Raises:
        docker.errors.APIError: the engine cannot start such a container.
    """
    api: Any = client.api
    made = api.create_container_from_config(dict(config), None)
    return _attend(client.containers.get(made["Id"]), listen)


def _attend(container: Container, listen: Callable[[str], None]) -> int:
    try:
        container.start()
        for chunk in container.logs(stream=True, follow=True):
            listen(chunk.decode("utf-8", errors="replace"))
        return int(container.wait()["StatusCode"])
    finally:  # also where the user does not want to wait
        container.remove(force=True)


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _why_no_module() -> str:
    found = getattr(sys.modules.get("docker"), "__file__", None)
    if found:
        # Invoke looks for modules beside tasks.py first, and `python -m` in the current folder.
        return f"{found} hides docker-py, which Slipway needs; rename it, or use the command `slipway`"
    return "docker-py is not installed; start Slipway with ./run, which installs it"


def _why_no_engine(error: Exception) -> str:
    text = str(error)
    where = os.environ.get("DOCKER_HOST")
    place = f" at DOCKER_HOST={where}" if where else ""
    if "PermissionError" in text or "Permission denied" in text:
        return (
            f"the Docker engine{place} does not let this user in; `sudo usermod -aG docker $USER`, "
            "log in anew, "
            "and try again"
        )
    if ("FileNotFoundError" in text or "No such file" in text) and not where and not shutil.which("docker"):
        return (
            "Docker is not installed here: there is neither a `docker` command nor an engine's "
            "socket. Install it "
            "(https://docs.docker.com/engine/install), or set DOCKER_HOST to an engine elsewhere"
        )
    if "API versions below" in text:
        return f"the Docker engine{place} and docker-py do not understand each other: {text}; update Docker"
    return (
        f"the Docker engine{place} does not run; start it (Docker Desktop, or `sudo systemctl start "
        "docker`), and "
        f"try again: {text}"
    )
