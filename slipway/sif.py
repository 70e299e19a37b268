"""Docker image to ``.sif``: Apptainer on this machine, or in a container where this machine has none."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from slipway.errors import HostError, ImageError
from slipway.image import Image, build_image, run_container
from slipway.profile import Profile
from slipway.progress import Progress
from slipway.project import Project
from slipway.recipe import Recipe
from slipway.shell import LocalShell

if TYPE_CHECKING:
    from docker import DockerClient

TOOLS_IMAGE = "slipway-apptainer"
_CHUNK = 1 << 20


@dataclass(frozen=True, kw_only=True)
class Sif:
    """A converted image: the file, its SHA-256, its size in bytes and the Docker image that it came from."""

    path: Path
    name: str
    image_id: str
    sha256: str
    size_bytes: int

    @property
    def file_name(self) -> str:
        """The name that it has on clusters, which says what is in it."""
        return f"{self.name}-{self.sha256[:16]}.sif"


def tools_recipe(project: Project, profile: Profile) -> Recipe:
    """The recipe of the container that has Apptainer in it."""
    return Recipe(
        name=TOOLS_IMAGE,
        dockerfile=project.root / "singularity" / "Dockerfile",
        # Apptainer runs where the engine runs, so its image is for the engine's own processor.
        platform="",
        build_args={**profile.build_args, "BASE_IMAGE": profile.tools_base_image},
        ca_bundle=profile.ca_bundle,
    )


def find_sif(project: Project, image: Image) -> Sif | None:
    """What an earlier conversion of exactly this image left, or ``None``."""
    path = _path(project, image)
    try:
        sif = Sif(**{**json.loads(_record(path).read_text(encoding="utf-8")), "path": path})
    except (OSError, ValueError, TypeError):
        return None
    same = path.is_file() and path.stat().st_size == sif.size_bytes and sif.image_id == image.id
    return sif if same else None


def make_sif(
    client: DockerClient, image: Image, project: Project, tools: Recipe, progress: Progress
) -> tuple[Sif, bool]:
    """Convert an image, unless that was done before.

    Args:
        client: the engine that has the image.
        image: the image.
        project: where the file is kept: ``sif/`` in its state folder.
        tools: the container that has Apptainer; it is built where this machine has no Apptainer.
        progress: is told what happens.

    Returns:
        The file, and whether it was made now.

    Raises:
        HostError: there is not enough room for it.
        ImageError: Apptainer failed.
    """
    there = find_sif(project, image)
    if there:
        return there, False
    path = _path(project, image)
    path.parent.mkdir(parents=True, exist_ok=True)
    with _workspace(project, image) as folder:
        part = folder / path.name
        progress.step(f"Saving {image.ref} ({image.size_bytes / 1e6:.0f} MB)")
        archive = _save(client, image, folder)
        progress.step(f"Converting {image.ref} with Apptainer")
        _convert(client, archive, part, project, tools, progress)
        progress.step("Hashing the .sif")
        digest, size_bytes = sha256(part), part.stat().st_size
        part.rename(path)
    sif = Sif(path=path, name=image.name, image_id=image.id, sha256=digest, size_bytes=size_bytes)
    _record(path).write_text(
        json.dumps({**asdict(sif), "path": path.name}, indent=1) + "\n", encoding="utf-8"
    )
    _forget_older(path, image.name)
    return sif, True


def convert_command(python: str, script: str, archive: str, sif: str, tmp: str) -> list[str]:
    """The argv that runs ``singularity/convert.py``."""
    return [python, script, "--archive", archive, "--sif", sif, "--tmp", tmp]


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest()


def _path(project: Project, image: Image) -> Path:
    return project.state / "sif" / f"{image.name}-{image.id.removeprefix('sha256:')[:16]}.sif"


def _record(path: Path) -> Path:
    return path.with_suffix(".json")


@contextmanager
def _workspace(project: Project, image: Image) -> Iterator[Path]:
    # /tmp is often small or memory: an image is unpacked beside the place where it is kept.
    folder = project.state / "tmp"
    folder.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder).free
    # The archive, the layers and the .sif each take the image's size at most.
    needed = 3 * image.size_bytes
    if free < needed:
        raise HostError(
            f"{folder} has {free / 1e9:.1f} GB free, and converting {image.ref} can take "
            f"{needed / 1e9:.1f} GB; make room, or set SLIPWAY_STATE to a folder on another disk"
        )
    for left in folder.glob("sif-*"):
        # A killed conversion cleans up nothing; none takes a day.
        if time.time() - left.stat().st_mtime > 86400:
            shutil.rmtree(left, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix="sif-", ignore_cleanup_errors=True) as work:
        yield Path(work)


def _save(client: DockerClient, image: Image, folder: Path) -> Path:
    archive = folder / "image.tar"
    with archive.open("wb") as file:
        for chunk in client.images.get(image.id).save(chunk_size=_CHUNK, named=image.ref):
            file.write(chunk)
    return archive


def _convert(
    client: DockerClient, archive: Path, sif: Path, project: Project, tools: Recipe, progress: Progress
) -> None:
    script = project.root / "singularity" / "convert.py"
    lines: list[str] = []

    def listen(text: str) -> None:
        for line in text.splitlines():
            lines.append(line)
            progress.line(line)

    if shutil.which("singularity"):
        argv = convert_command(sys.executable, str(script), str(archive), str(sif), str(archive.parent))
        result = LocalShell().stream(argv, on_output=listen)
        listen(result.stderr)
        code = result.exit_code
    else:
        code = _run_in_tools(client, archive, sif, script, build_image(client, tools, progress)[0], listen)
    if code or not sif.is_file():
        words = "\n".join(f"  {line}" for line in lines[-12:])
        raise ImageError(f"Apptainer could not make {sif.name} (exit code {code}):\n{words}")


def _run_in_tools(
    client: DockerClient, archive: Path, sif: Path, script: Path, tools: Image, listen: Callable[[str], None]
) -> int:
    command = convert_command(
        "python3", "/convert.py", f"/image/{archive.name}", f"/image/{sif.name}", "/image"
    )
    return run_container(
        client,
        tools,
        [*command, "--owner", f"{os.getuid()}:{os.getgid()}"],
        mounts={script: "/convert.py", archive.parent: "/image"},
        listen=listen,
    )


def _forget_older(newest: Path, name: str) -> None:
    # Research images have gigabytes: of each name only the newest stays.
    for record in newest.parent.glob(f"{name}-*.json"):
        if record != _record(newest) and json.loads(record.read_text(encoding="utf-8")).get("name") == name:
            record.with_suffix(".sif").unlink(missing_ok=True)
            record.unlink()
