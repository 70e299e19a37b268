"""Docker images: the one place that talks to the Docker engine about them."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import slipway
from slipway.errors import EngineError, HostError, ImageError
from slipway.image.context import pack_context
from slipway.image.recipe import Recipe, declared_args, inputs_hash, parse_bases
from slipway.progress import Progress

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

INPUTS = "slipway.inputs"
# The first that builds and pulls for a platform.
LEAST_API = "1.32"
# Docker hands these to every RUN by itself and keeps them out of the image's history.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "ftp_proxy", "all_proxy")
# What the engine says of its own doings, and the colours that it puts around errors.
_NOISE = re.compile(r"\s*--->|Removing intermediate container|Successfully (built|tagged) ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OURS = "slipway: "
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.S)


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
        raise HostError("docker-py is not installed; start Slipway with ./run, which installs it") from error
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

    ref = name if ":" in name.rpartition("/")[2] else f"{name}:latest"
    try:
        attributes: dict[str, Any] = client.images.get(ref).attrs
    except docker.errors.ImageNotFound:
        return None
    labels = attributes["Config"].get("Labels") or {}
    return Image(ref=ref, id=attributes["Id"], labels=labels, size_bytes=attributes["Size"])


def build_image(
    client: DockerClient, recipe: Recipe, progress: Progress, *, fresh: bool = False
) -> tuple[Image, bool]:
    """Build a recipe, unless an image of the same inputs is there.

    Args:
        client: the engine.
        recipe: what to build.
        progress: is told each step and each line of the build.
        fresh: build in any case, and without the engine's cache.

    Returns:
        The image, and whether it was built now.

    Raises:
        ImageError: a base image is missing, or a step failed.
    """
    bases = {ref: _base(client, ref, recipe, progress).id for ref in _bases(recipe)}
    inputs = inputs_hash(recipe, bases)
    there = find_image(client, recipe.name)
    if there and there.labels.get(INPUTS) == inputs and not fresh:
        return there, False
    labels = {
        **recipe.labels,
        **recipe.remarks,
        INPUTS: inputs,
        "org.opencontainers.image.title": recipe.name,
        "org.opencontainers.image.version": slipway.__version__,
    }
    _run_build(client, recipe, labels, progress, fresh=fresh)
    image = find_image(client, recipe.name)
    if image is None or image.labels.get(INPUTS) != inputs:
        raise ImageError(
            f"{recipe.name}: the engine reported no error, but the image is not there; build again"
        )
    return image, True


def build_stage(client: DockerClient, recipe: Recipe, stage: str, progress: Progress) -> Image:
    """Name one stage of a recipe that was built just now, ``<image>-<stage>``; its layers are there.

    Raises:
        ImageError: a step failed.
    """
    _run_build(client, recipe, {}, progress, stage=stage)
    image = find_image(client, f"{recipe.name}-{stage}")
    if image is None:
        raise ImageError(f"{recipe.name}: its stage {stage} was built, but is not there; build again")
    return image


def run_container(
    client: DockerClient,
    image: Image,
    command: Sequence[str],
    *,
    mounts: Mapping[Path, str],
    listen: Callable[[str], None],
    user: str | None = None,
) -> int:
    """Run a program in a container without a network, and remove the container.

    Args:
        client: the engine.
        image: the image.
        command: the program and its arguments, in place of the image's own.
        mounts: folders and files of this machine, and where the program finds them.
        listen: is given what the program prints.
        user: ``UID:GID``; the image's own without it.

    Returns:
        The program's exit code.
    """
    container = client.containers.create(
        image.id,
        entrypoint=list(command),
        volumes={str(here): {"bind": there, "mode": "rw"} for here, there in mounts.items()},
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


def _bases(recipe: Recipe) -> list[str]:
    text = recipe.text()
    return parse_bases(text, declared_args(text, recipe.build_args))


def _base(client: DockerClient, ref: str, recipe: Recipe, progress: Progress) -> Image:
    import docker.errors

    image = find_image(client, ref)
    if image:
        return image
    progress.step(f"Pulling {ref}")
    try:
        client.images.pull(*_split(ref), platform=recipe.platform or None)
    except docker.errors.APIError as error:
        hint = f".\n  {recipe.hint}" if recipe.hint else ""
        raise ImageError(
            f"{ref}, which the Dockerfile starts from, is not in the engine and cannot be pulled:\n"
            f"  {error.explanation or error}\n"
            "  `invoke base` makes debian:trixie-slim from Debian packages; any other image has to be loaded "
            f"with `docker pull` or `docker load`{hint}"
        ) from error
    image = find_image(client, ref)
    if image is None:
        raise ImageError(f"{ref} was pulled, but is not in the engine; try again")
    return image


def _split(ref: str) -> tuple[str, str]:
    name, colon, tag = ref.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (ref, "latest")


def _run_build(
    client: DockerClient,
    recipe: Recipe,
    labels: Mapping[str, str],
    progress: Progress,
    *,
    fresh: bool = False,
    stage: str | None = None,
) -> None:
    import docker.errors

    text = recipe.text()
    with pack_context(recipe, os.environ.get) as archive:
        try:
            events = client.api.build(
                fileobj=archive,
                custom_context=True,
                dockerfile=recipe.dockerfile.name,
                tag=f"{recipe.name}-{stage}:latest" if stage else f"{recipe.name}:latest",
                target=stage,
                cache_from=list(recipe.cache_from),
                platform=recipe.platform or None,
                buildargs={**_proxies(), **declared_args(text, recipe.build_args)},
                labels=dict(labels),
                nocache=fresh,
                rm=True,
                forcerm=True,
                decode=True,
            )
            _follow(recipe, events, progress)
        except docker.errors.APIError as error:
            raise ImageError(f"{recipe.dockerfile}: {error.explanation or error}") from error


def _proxies() -> dict[str, str]:
    names = [variant for name in _PROXIES for variant in (name, name.upper())]
    return {name: os.environ[name] for name in names if name in os.environ}


def _follow(recipe: Recipe, events: Iterable[Mapping[str, Any]], progress: Progress) -> None:
    step, problem, lines, said = "before the first step", "", list[str](), list[str]()
    # To the end, also after an error: docker-py keeps the connection open until then.
    for text, error in _lines(events):
        match = _STEP.match(text)
        if error:
            problem = error
        elif match:
            step, lines, said = f"step {match[1]}/{match[2]} ({match[3]})", [], []
            progress.step(f"[{match[1]}/{match[2]}] {match[3]}")
        elif text:
            lines.append(text)
            # A step of ours that knows what is wrong says so in a line that begins with our name.
            said += [text.removeprefix(_OURS)] if text.startswith(_OURS) else []
            progress.line(text)
    if problem and said:
        raise ImageError(f"{recipe.dockerfile}: {' '.join(said)}")
    if problem:
        last = "".join(f"\n  {line}" for line in lines[-15:])
        raise ImageError(f"{recipe.dockerfile}: {step} failed: {problem}{last}")


def _lines(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for event in events:
        if "error" in event:
            yield "", str(event["error"])
        else:
            text = str(event.get("stream") or event.get("status") or "")
            lines = (line.rstrip() for line in re.split(r"[\r\n]+", _COLOUR.sub("", text)))
            yield from ((line, "") for line in lines if line and not _NOISE.match(line))


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


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
