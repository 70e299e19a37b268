"""An image for a site whose scheduler fetches it from a registry: what is sent says which one is meant."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

from slipway.image.engine import Image
from slipway.progress import Progress
from slipway.project import Project
from slipway.registry.publish import Published, choose_reference, publish_image
from slipway.runtime.base import REFERENCE
from slipway.sif.kept import Sif

if TYPE_CHECKING:
    from docker import DockerClient

_FOLDER = "references"


def publish_reference(
    client: DockerClient, image: Image, registry: str, project: Project, progress: Progress
) -> tuple[Sif, bool]:
    """Push an image to a registry, under a tag by its content; layers that are there are not sent.

    Returns:
        A file with the image's name there, and whether anything was sent.

    Raises:
        EngineError: the engine failed.
        RegistryError: the registry did; its subclasses say why.
    """
    published = publish_image(client, image, choose_reference(registry, image, None), progress)
    return keep_reference(image, published, project), published.sent_layers > 0


def keep_reference(image: Image, published: Published, project: Project) -> Sif:
    """A file with the name of an image in a registry; its tag is by its content, so that it stays."""
    content = f"{published.reference}\n".encode()
    digest = hashlib.sha256(content).hexdigest()
    folder = project.state / _FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{image.name}-{digest[:16]}{REFERENCE.files[0]}"
    path.write_bytes(content)
    return Sif(
        path=path,
        name=image.name,
        image_id=image.id,
        sha256=digest,
        size_bytes=len(content),
        compression="none",
    )
