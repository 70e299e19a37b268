"""The layers of an image where the engine has them, as far as it says where that is.

The storage driver overlay2 has each layer as a folder, which a container can be given to read: nothing is
copied, packed or sent. Podman, the containerd image store and other drivers give out archives only.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import EngineError
from slipway.image.engine import Image, is_podman

if TYPE_CHECKING:
    from docker import DockerClient

# Of the engine's words for a configuration, those that an OCI image has too (image-spec, config.md), and
# one of Docker's own.
_CONFIG = (
    "User",
    "ExposedPorts",
    "Env",
    "Entrypoint",
    "Cmd",
    "Volumes",
    "WorkingDir",
    "Labels",
    "StopSignal",
    "Shell",
)


@dataclass(frozen=True, kw_only=True)
class ImageLayers:
    """An image as the engine describes it.

    Attributes:
        digests: of its layers, the lowest first, each ``sha256:…`` of the archive of it.
        folders: of its layers on the engine's disk, in the same order, or ``None`` where there are none.
        config: an OCI image configuration, without its layers.
        created: when it was made, in seconds since 1970.
    """

    digests: tuple[str, ...]
    folders: tuple[Path, ...] | None
    config: Mapping[str, Any]
    created: int


def find_layers(client: DockerClient, image: Image) -> ImageLayers:
    """Ask the engine for an image's layers.

    Raises:
        docker.errors.ImageNotFound: it has no such image.
        EngineError: it says something that no engine does.
    """
    attrs: dict[str, Any] = client.images.get(image.id).attrs
    try:
        return _describe(client, attrs)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise EngineError(
            f"the Docker engine does not say of {image.ref} what engines say of an image: {error!s:.500}"
        ) from error


def _describe(client: DockerClient, attrs: Mapping[str, Any]) -> ImageLayers:
    digests = tuple(map(_digest, (attrs.get("RootFS") or {}).get("Layers") or ()))
    config = {key: value for key, value in (attrs.get("Config") or {}).items() if key in _CONFIG and value}
    described = {"architecture": attrs.get("Architecture") or "", "os": attrs.get("Os") or "linux"}
    if attrs.get("Variant"):
        described["variant"] = attrs["Variant"]
    created = str(attrs.get("Created") or "")
    return ImageLayers(
        digests=digests,
        folders=_folders(client, attrs, len(digests)),
        config={**described, "created": created, "config": config},
        created=_seconds(created),
    )


def _digest(word: str) -> str:
    # Names of files are made of it.
    if not re.fullmatch(r"\w+:\w+", word):
        raise ValueError(f"{word!r} is no hash")
    return word


def _folders(client: DockerClient, attrs: Mapping[str, Any], count: int) -> tuple[Path, ...] | None:
    driver = attrs.get("GraphDriver") or {}
    data = driver.get("Data") or {}
    upper = data.get("UpperDir")
    if driver.get("Name") != "overlay2" or not upper or is_podman(client):
        return None
    lower = [part for part in str(data.get("LowerDir") or "").split(":") if part]
    folders = tuple(Path(part) for part in (*reversed(lower), str(upper)))
    # A folder with a colon in its name comes in parts.
    return folders if len(folders) == count and all(folder.is_absolute() for folder in folders) else None


def _seconds(text: str) -> int:
    """Seconds since 1970 of a time as the engine writes it; its fraction has up to nine digits."""
    try:
        made = datetime.fromisoformat(re.sub(r"(\.\d{1,9})?Z$", "+00:00", text))
    except ValueError:
        return 0
    if made.tzinfo is None:
        made = made.replace(tzinfo=timezone.utc)
    return min(max(int(made.timestamp()), 0), 0xFFFFFFFF)
