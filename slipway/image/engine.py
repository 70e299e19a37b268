"""Docker images in the engine: found by their names, and run."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from slipway.errors import EngineError, HostError
from slipway.image.endpoint import Endpoint, find_endpoint
from slipway.image.no_engine import explain_no_engine
from slipway.shell import LocalShell

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
        # A module of the user's may have the same name.
        from docker import DockerClient  # noqa: F401 - whether it is there
    except ImportError as error:
        raise HostError(_why_no_module()) from error
    endpoint, client = find_endpoint(), None
    try:
        client = _connect(endpoint)
        client.ping()
        version = client.version()
    except Exception as error:  # docker-py lets those of requests and urllib3 through
        if client is not None:
            client.close()
        raise EngineError(explain_no_engine(endpoint, error)) from error
    if _number(client.api.api_version) < _number(LEAST_API):
        client.close()
        raise EngineError(
            f"this Docker engine is {version.get('Version', 'of an unknown version')} and speaks its "
            "API up to "
            f"{client.api.api_version}; {LEAST_API} is needed, which is Docker 17.09 or later"
        )
    return client


def is_podman(client: DockerClient) -> bool:
    """Whether the engine is Podman, behind its socket that speaks Docker's API."""
    parts: Sequence[Mapping[str, Any]] = client.version().get("Components") or ()
    return any(part.get("Name") == "Podman Engine" for part in parts)


def is_rootless(client: DockerClient) -> bool:
    """Whether the engine runs as an ordinary user: Docker's rootless mode, or a user's Podman."""
    return any("rootless" in option for option in client.info().get("SecurityOptions") or ())


def container_user(client: DockerClient) -> str | None:
    """As whom a container's program has to run for its files to be the caller's; see :func:`current_user`."""
    # There the container's root is the caller, and its other users are nobody here.
    return "0:0" if is_rootless(client) else current_user()


def explain_folders(said: str) -> str:
    """What there is to add to an engine's words where it lacks a folder of this machine; often nothing."""
    is_missing = re.search(r"bind source path does not exist|statfs .*no such file", said)
    endpoint = find_endpoint()
    if not is_missing or endpoint.is_here:
        return ""
    return (
        f". The engine at {endpoint.origin} is on another machine, whose containers see no folders of this "
        "one: `build` and `publish` work with it; for the rest, choose an engine that is here, and Apptainer "
        "on this machine converts without one"
    )


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
    names = {name, f"localhost/{name}", f"docker.io/library/{name}"}
    tags = [tag for tag in found.tags if tag.rpartition(":")[0] in names]
    tag = f"replay-{image_id.removeprefix('sha256:')[:12]}"
    if not tags:
        # An engine gives out an image under one of its names. It also keeps what has one.
        found.tag(name, tag)
    return read_image(tags[0] if tags else f"{name}:{tag}", found.attrs)


def full_name(name: str) -> str:
    """A name with its tag."""
    return name if ":" in name.rpartition("/")[2] else f"{name}:latest"


def name_in_engine(ref: str, tags: Sequence[str]) -> str:
    """What an engine calls an image: Podman puts a registry before a name that has none."""
    known = (ref, f"localhost/{ref}", f"docker.io/library/{ref}", f"docker.io/{ref}")
    return next((name for name in known if name in tags), ref)


def read_image(ref: str, attributes: Mapping[str, Any]) -> Image:
    """What the engine says of an image.

    Raises:
        EngineError: it says something that no engine does.
    """
    try:
        labels = dict((attributes.get("Config") or {}).get("Labels") or {})
        size_bytes = int(attributes["Size"])
        return Image(ref=ref, id=str(attributes["Id"]), labels=labels, size_bytes=size_bytes)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise EngineError(
            f"the Docker engine does not say of {ref} what engines say of an image: {error!s:.500}"
        ) from error


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


def _connect(endpoint: Endpoint) -> DockerClient:
    import docker

    if endpoint.scheme == "ssh":
        # The user's own ssh, with all that its configuration says, as the `docker` command does it.
        has_ssh = shutil.which("ssh") is not None
        address = _with_port(endpoint) if has_ssh else endpoint.address
        return docker.DockerClient(base_url=address, use_ssh_client=has_ssh)
    files = endpoint.certificates
    if files is None:
        return docker.DockerClient(base_url=endpoint.address)
    pair = (str(files.certificate), str(files.key)) if files.certificate and files.key else None
    tls = docker.tls.TLSConfig(
        client_cert=pair, ca_cert=str(files.ca) if files.ca else None, verify=files.is_checked
    )

    def client(version: str) -> DockerClient:
        made = docker.DockerClient(base_url=endpoint.address, tls=tls, version=version)
        # Else requests takes REQUESTS_CA_BUNDLE for the authority of all, and not the engine's own.
        made.api.trust_env = False
        return made

    first = client(LEAST_API)
    try:
        return client(str(first.api.version(api_version=False)["ApiVersion"]))
    finally:
        first.close()


def _with_port(endpoint: Endpoint) -> str:
    """The address with the port of the user's ssh_config: docker-py would insist on 22."""
    parts = urlsplit(endpoint.address)
    if parts.port or not parts.hostname or parts.hostname.startswith("-"):
        return endpoint.address
    said = LocalShell().run(["ssh", "-G", "--", endpoint.host]).stdout
    match = re.search(r"^port ([0-9]{1,18})$", said, re.M)
    return f"ssh://{endpoint.host}:{match[1]}" if match else endpoint.address


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
