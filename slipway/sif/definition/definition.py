"""A definition file and all that its build needs; what it is known by."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from slipway.errors import ImageError
from slipway.image.engine import Image

FILE = "image.def"
ARGS = "arguments"
# What the id of an image begins with that was built from a definition.
PREFIX = "definition:"


@dataclass(frozen=True, kw_only=True)
class Placed:
    """A file that the build needs.

    Attributes:
        place: its path in the build's folder, relative.
        path: the file here; ``None`` where there is only its content.
        content: that content.
    """

    place: str
    path: Path | None = None
    content: bytes = b""


@dataclass(frozen=True, kw_only=True)
class Definition:
    """What Apptainer is to build.

    Attributes:
        name: the image's name.
        source: the Dockerfile or definition file of the user.
        text: of the definition file.
        inputs: the SHA-256 of all that goes into the image.
        platform: what it is for, such as ``linux/amd64``.
        files: what lies beside the definition file.
        folders: folders that have to be there, also where nothing is in them.
        config: what the image is to be, in the words of the engine's API: ``Env``, ``Labels``, …
        notes: what has no effect.
        arguments: values for ``{{ NAME }}`` in the text.
        needs_network: whether the image that it starts from is downloaded.
    """

    name: str
    source: Path
    text: str
    inputs: str
    platform: str
    files: Sequence[Placed] = ()
    folders: Sequence[str] = ()
    config: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    arguments: Mapping[str, str] = field(default_factory=dict)
    needs_network: bool = True

    @property
    def image_id(self) -> str:
        """What a ``.sif`` of it is known by, where others have the id of a Docker image."""
        return f"{PREFIX}{self.inputs}"

    @property
    def image(self) -> Image:
        """The image as the rest of Slipway knows one: by its name and what is in it."""
        return Image(ref=f"{self.name}:latest", id=self.image_id, labels={}, size_bytes=0)

    @property
    def size_bytes(self) -> int:
        """What its files take."""
        return sum(one.path.stat().st_size if one.path else len(one.content) for one in self.files)


def is_definition_id(image_id: str) -> bool:
    """Whether an image was built from a definition, and is not in any Docker engine."""
    return image_id.startswith(PREFIX)


def write_definition(definition: Definition, folder: Path) -> Path:
    """Write the definition file and what it needs into a folder; gives the file.

    Raises:
        ImageError: a file of it cannot be read.
    """
    for name in sorted(definition.folders):
        (folder / name).mkdir(parents=True, exist_ok=True)
        # Whatever this user's umask is: they come to be in the image.
        (folder / name).chmod(0o755)
    for one in definition.files:
        target = folder / one.place
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _put(one, target)
        except OSError as error:
            raise ImageError(
                f"{one.path or one.place} cannot be read for the build: {error.strerror}"
            ) from error
    if definition.arguments:
        lines = "".join(f"{name}={value}\n" for name, value in definition.arguments.items())
        (folder / ARGS).write_text(lines, encoding="utf-8", errors="surrogateescape")
    file = folder / FILE
    file.write_text(definition.text, encoding="utf-8", errors="surrogateescape", newline="")
    return file


def hash_definition(content: Mapping[str, Any]) -> str:
    """The SHA-256 of what goes into an image."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _put(one: Placed, target: Path) -> None:
    if one.path is None:
        target.write_bytes(one.content)
        target.chmod(0o644)
        return
    if one.path.is_dir():
        shutil.copytree(one.path, target, dirs_exist_ok=True)
        return
    shutil.copyfile(one.path, target)
    # As in a build's context: a program for all, or a file for all. On Windows no file is a program.
    is_program = one.path.stat().st_mode & 0o100 or os.name == "nt"
    target.chmod(0o755 if is_program else 0o644)
