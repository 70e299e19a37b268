"""A definition to a ``.sif``: made once for all that goes into it and a compression, and checked."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import ConversionError, HostError, ImageError
from slipway.image.engine import engine
from slipway.image.recipe import Recipe, find_ca_bundle
from slipway.lock import only_one
from slipway.progress import Amount, Progress
from slipway.project import Project
from slipway.sif.conversion import Conversion, convert, has_apptainer
from slipway.sif.definition.definition import ARGS, Definition, write_definition
from slipway.sif.kept import Sif, find_sif, keep_made
from slipway.sif.store import check_made, sweep
from slipway.workspace import check_space, workspace

if TYPE_CHECKING:
    from docker import DockerClient

# Each stage as files, and all of it once more in the .sif; what it comes to is only known afterwards.
LEAST_BYTES = 2_000_000_000
_FILES_FACTOR = 4
_MACHINES = {"x86_64": "amd64", "AMD64": "amd64", "aarch64": "arm64", "arm64": "arm64"}
_REMOTE = "`invoke sif --remote-build` has the cluster build it"


def make_from_definition(
    definition: Definition,
    project: Project,
    tools: Recipe,
    progress: Progress,
    *,
    compression: str = "zstd",
    fresh: bool = False,
) -> tuple[Sif, bool]:
    """Build a definition, unless that was done before.

    Args:
        definition: what to build.
        project: where the file is kept: ``sif/`` in its state folder.
        tools: the container that has Apptainer; it is built where this machine has no Apptainer.
        progress: is told what happens, and what the user should know of the file.
        compression: of the squashfs in it: ``zstd`` or ``gzip``.
        fresh: build in any case.

    Returns:
        The file, and whether it was made now.

    Raises:
        HostError: neither Apptainer nor an engine is here.
        ImageError: it is for another processor.
        SpaceError: there is not enough room for it.
        ConversionError: Apptainer failed, or what it made is not what it was to be.
    """

    def wait() -> None:
        progress.step(f"Waiting for another build of {definition.name}")

    with only_one(project.state / "locks" / f"sif-{definition.name}", wait):
        there = None if fresh else find_sif(project, definition.image, compression)
        if there:
            return there, False
        for note in definition.notes:
            progress.note(note)
        check_platform(definition, platform.machine())
        client = find_client()
        try:
            return _make(client, definition, project, tools, progress, compression), True
        finally:
            if client is not None:
                client.close()


def find_client() -> DockerClient | None:
    """An engine for the container that has Apptainer; ``None`` where this machine has Apptainer itself.

    Raises:
        HostError: there is neither.
    """
    if has_apptainer():
        return None
    try:
        return engine()
    except HostError as error:
        raise HostError(
            "there is neither Apptainer here (https://apptainer.org) nor Docker, which runs it in a "
            f"container: {error}\n{_REMOTE}"
        ) from error


def check_platform(definition: Definition, machine: str) -> None:
    """Refuse what is for another processor than this machine's: its commands could not run here.

    Raises:
        ImageError: it is.
    """
    wanted, here = definition.platform, f"linux/{_MACHINES.get(machine, machine)}"
    if wanted != here:
        raise ImageError(
            f"{definition.name} is for {wanted} (PLATFORM), and Apptainer builds for {here} alone on this "
            f"machine; {_REMOTE}"
        )


def explain_definition(error: ConversionError, lines: list[str], definition: Definition) -> ConversionError:
    """The error of a build, with the line of the user's file whose command was the last one."""
    mark = f"[{definition.source.name}:"
    last = next((line for line in reversed(lines) if line.startswith(mark)), None)
    if last is None:
        return error
    place, _, command = last[1:].partition("] ")
    folder = definition.source.parent
    return ConversionError(f"{folder / place}: {command} failed\n{error}")


def _make(
    client: DockerClient | None,
    definition: Definition,
    project: Project,
    tools: Recipe,
    progress: Progress,
    compression: str,
) -> Sif:
    sweep(client, project, tools)
    needed = LEAST_BYTES + _FILES_FACTOR * definition.size_bytes
    check_space(project.state / "tmp", needed, f"building {definition.name}")
    with workspace(project.state / "tmp") as folder:
        part = _write(definition, folder, project, tools, compression)
        progress.step(f"Building {definition.name} from {definition.source.name} with Apptainer")
        heard = _Heard(progress)
        try:
            facts = convert(client, part, project, tools, heard)
        except ConversionError as error:
            raise explain_definition(error, heard.lines, definition) from error
        # What Apptainer keeps of a base image's own configuration is not that of this one.
        known: dict[str, Any] = {**facts, "config": None}
        check_made(definition.config, part, known, progress, what=str(definition.source))
        progress.step("Hashing the .sif")
        return keep_made(part.sif, project, definition.image, compression)


def _write(
    definition: Definition, folder: Path, project: Project, tools: Recipe, compression: str
) -> Conversion:
    build = folder / "build"
    build.mkdir()
    file = write_definition(definition, build)
    cache = None
    if definition.needs_network:
        bundle = build / ".slipway" / "ca-bundle.crt"
        bundle.parent.mkdir(exist_ok=True)
        bundle.write_bytes(find_ca_bundle(tools, os.environ.get))
        cache = project.state / "cache" / "apptainer"
        cache.mkdir(parents=True, exist_ok=True)
    return Conversion(
        sif=folder / f"{definition.name}.sif",
        definition=file,
        arguments=build / ARGS if definition.arguments else None,
        cache=cache,
        compression=compression,
    )


class _Heard(Progress):
    """Hands on what it is told, and keeps the lines."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self.lines: list[str] = []

    def step(self, text: str) -> None:
        self._progress.step(text)

    def line(self, text: str) -> None:
        self.lines.append(text)
        self._progress.line(text)

    def transfer(self, amount: Amount) -> None:
        self._progress.transfer(amount)

    def note(self, text: str) -> None:
        self._progress.note(text)
