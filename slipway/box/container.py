"""The box: a whole SLURM cluster in one container on this machine, for trials and for tests."""

from __future__ import annotations

import shlex
import shutil
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.box.spec import (
    HOST_ALIAS,
    READY_FILE,
    Box,
    ReadyFile,
    archive_for,
    container_config,
    make_keys,
    node_memory_mb,
    parse_ready,
    ssh_config_text,
)
from slipway.errors import HostError, ImageError
from slipway.image.recipe import Recipe
from slipway.profile import Profile
from slipway.progress import Progress
from slipway.project import Project
from slipway.sif.store import TOOLS_IMAGE

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

BOX_IMAGE = "slipway-box"
# Longer than any step of its own takes before it says what did not start.
READY_TIMEOUT_S = 300
STOP_TIMEOUT_S = 10


@dataclass(frozen=True, kw_only=True)
class BoxStatus:
    """A box that is ready.

    Attributes:
        box: its names.
        port: where its sshd is on 127.0.0.1.
        node_memory_mb: what each of the three nodes offers to jobs.
        memory_limits: SLURM's plugin that enforces memory limits, or ``None`` where nothing does.
        notes: what does not work here, and why.
        started_s: seconds that it took to start, or ``None`` where it was up already.
    """

    box: Box
    port: int
    node_memory_mb: int
    memory_limits: str | None
    notes: tuple[str, ...] = field(default=())
    started_s: float | None = None

    def lines(self) -> list[str]:
        """What to tell the user."""
        since = "was up already" if self.started_s is None else f"is up after {self.started_s:.1f} s"
        nodes = f"3 nodes, each with 2 cores, {self.node_memory_mb} MB, 2 mock GPUs"
        here, config = Path.cwd(), self.box.ssh_config
        near = config.relative_to(here) if config.is_relative_to(here) else config
        login = shlex.join(["ssh", "-F", str(near), HOST_ALIAS])
        return [f"The box {since}: {nodes}.", f"Log in with `{login}`.", *self.notes]


def box_recipe(project: Project, profile: Profile) -> Recipe:
    """The recipe of the box's image. It starts from the tools image, which has to be built before it."""
    return Recipe(
        name=BOX_IMAGE,
        dockerfile=project.share / "cluster" / "box" / "Dockerfile",
        platform="",  # it runs where the engine runs
        build_args={**profile.build_args, "TOOLS_IMAGE": TOOLS_IMAGE},
        ca_bundle=profile.ca_bundle,
    )


def up(client: DockerClient, state: Path, image: str, *, progress: Progress) -> BoxStatus:
    """Have a box that is ready. One that runs is left as it is, one that stopped goes on with what it had.

    Args:
        client: the engine.
        state: Slipway's state folder.
        image: the box's image, already built.
        progress: is told each step.

    Raises:
        HostError: it did not become ready; the message has the end of its log, and the container is gone.
        ImageError: there is no such image.
    """
    box = Box(state=state)
    began = time.monotonic()
    with _engine_errors(box):
        newest = client.images.get(image).id
        container = _find(client, box)
        if container is not None and _is_healthy(container, box):
            return _connect(container, box, newest, None)
        container = _revive(container, box, progress) or _create(client, box, image, progress)
        return _connect(container, box, newest, began)


def status(client: DockerClient, state: Path) -> BoxStatus | None:
    """The box, where it is up and ready."""
    box = Box(state=state)
    with _engine_errors(box):
        container = _find(client, box)
        if container is None or not _is_healthy(container, box):
            return None
        return _connect(container, box, None, None)


def down(client: DockerClient, state: Path, *, purge: bool = False) -> bool:
    """End the box with everything that is on it: container, keys, and with ``purge`` its images.

    Returns:
        True where there was something of it.
    """
    box = Box(state=state)
    with _engine_errors(box):
        container = _find(client, box)
        there = container is not None or box.folder.exists()
        if container is not None:
            _remove(container)
        shutil.rmtree(box.folder, ignore_errors=True)
        removed = _remove_images(client) if purge else False
    return there or removed


def _find(client: DockerClient, box: Box) -> Container | None:
    import docker.errors

    try:
        return client.containers.get(box.name)
    except docker.errors.NotFound:
        return None


def _is_healthy(container: Container, box: Box) -> bool:
    # The box's report could be of an earlier start, and its container says nothing of what runs in it.
    if container.status != "running" or not box.has_keys:
        return False
    return _read_ready(container).is_ready and container.exec_run(["box-check"]).exit_code == 0


def _revive(container: Container | None, box: Box, progress: Progress) -> Container | None:
    """Start a box that is stopped or broken once more; ``None``, and it is gone, where that does not help."""
    if container is None:
        return None
    if box.has_keys and container.status != "paused":
        progress.step("Starting the box again")
        container.stop(timeout=STOP_TIMEOUT_S)
        if _start(container, box) is None:
            return container
    _remove(container)
    return None


def _create(client: DockerClient, box: Box, image: str, progress: Progress) -> Container:
    progress.step("Starting the box")
    make_keys(box.folder)
    memory_mb = node_memory_mb(int(client.info()["MemTotal"]))
    # docker-py's own way of creating containers has no word for unmasked paths.
    api: Any = client.api
    made = api.create_container_from_config(container_config(box, image, memory_mb), box.name)
    container = client.containers.get(made["Id"])
    try:
        problem = _start(container, box)
        if problem:
            raise HostError(f"the box {problem}. The end of its log:\n{_log(container)}")
    except BaseException:  # also where the user does not want to wait
        _remove(container)
        raise
    return container


def _start(container: Container, box: Box) -> str | None:
    """Start it and wait until it is ready; returns what went wrong, or ``None``."""
    container.put_archive("/", archive_for(box.folder))
    container.start()
    deadline = time.monotonic() + READY_TIMEOUT_S
    while time.monotonic() < deadline:
        if _read_ready(container).is_ready:
            return None
        container.reload()
        if container.status != "running":
            return "ended while it started"
        time.sleep(0.1)
    return f"was not ready after {READY_TIMEOUT_S} s"


def _connect(container: Container, box: Box, newest: str | None, began: float | None) -> BoxStatus:
    container.reload()
    bindings = container.ports.get("22/tcp") or []
    if not bindings:
        raise HostError(f"the engine gave the box {box.name} no port; `invoke box.down`, and try again")
    port = int(bindings[0]["HostPort"])
    box.ssh_config.write_text(ssh_config_text(box.folder, port), encoding="utf-8")
    _greet(port)
    ready = _read_ready(container)
    settings = dict(word.split("=", 1) for word in container.attrs["Config"]["Env"])
    outdated = newest is not None and container.attrs["Image"] != newest
    renew = "Its image has changed since; `invoke box.down` and `invoke box.up` renew it."
    return BoxStatus(
        box=box,
        port=port,
        node_memory_mb=int(settings["NODE_MEMORY_MB"]),
        memory_limits=ready.memory_limits,
        notes=(*ready.notes, *([renew] if outdated else [])),
        started_s=None if began is None else time.monotonic() - began,
    )


def _greet(port: int) -> None:
    try:
        # A machine under load takes its time.
        with socket.create_connection(("127.0.0.1", port), timeout=60) as line:
            greeting = line.recv(4)
    except OSError:
        greeting = b""
    if greeting != b"SSH-":
        raise HostError(
            f"the box is up, but 127.0.0.1:{port} does not lead to it. Does the engine run on another "
            "machine (DOCKER_HOST, `docker context`)? The box has to be on this one"
        )


def _read_ready(container: Container) -> ReadyFile:
    import docker.errors

    try:
        chunks, _ = container.get_archive(READY_FILE)
    except docker.errors.NotFound:
        return ReadyFile()
    return parse_ready(b"".join(chunks))


def _remove(container: Container) -> None:
    # The engine removes its cgroups too, with what SLURM made in them.
    container.remove(force=True, v=True)


def _remove_images(client: DockerClient) -> bool:
    import docker.errors

    removed = False
    for name in (BOX_IMAGE, TOOLS_IMAGE):
        try:
            client.images.remove(name)
            removed = True
        except docker.errors.APIError:
            continue  # it is not there, or another box runs from it
    return removed


@contextmanager
def _engine_errors(box: Box) -> Iterator[None]:
    import docker.errors

    try:
        yield
    except docker.errors.ImageNotFound as error:
        raise ImageError(
            f"the box's image is not in the engine; build it first: {error.explanation}"
        ) from error
    except docker.errors.APIError as error:
        raise HostError(
            f"the engine did not do what the box {box.name} needs: {error.explanation or error}. Where it "
            "names /dev/fuse, `sudo modprobe fuse` helps; a conflict means that another box.up is under way"
        ) from error


def _log(container: Container, lines: int = 25) -> str:
    text = container.logs(tail=lines).decode("utf-8", errors="replace")
    return "\n".join(f"  {line}" for line in text.splitlines())
