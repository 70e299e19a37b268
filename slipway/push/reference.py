"""Images for sites that fetch them from a registry themselves: scratch only has which one is meant."""

from __future__ import annotations

import json
from dataclasses import asdict

from slipway.host.host import Host
from slipway.host.scratch import Scratch
from slipway.image.engine import Image
from slipway.push.upload import PushedSif, newest_image, record_path
from slipway.registry.publish import Published
from slipway.runtime.base import REFERENCE


def write_reference(host: Host, scratch: Scratch, image: Image, published: Published) -> PushedSif:
    """Note which image in a registry the newest of its name is.

    The file is named by the image's digest and holds its name there, which has a tag by its content; so a job
    that waits keeps the image that it was submitted with.

    Raises:
        ScratchError: nothing can be written there.
    """
    digest = published.digest.removeprefix("sha256:")
    content = f"{published.reference}\n".encode()
    path = scratch.images / f"{image.name}-{digest[:16]}{REFERENCE.files[0]}"
    pushed = PushedSif(path=path, image_id=image.id, sha256=digest, size_bytes=len(content))
    host.write(path, content)
    host.write(record_path(path), json.dumps({**asdict(pushed), "path": str(path)}).encode())
    host.point(newest_image(scratch, image.name, REFERENCE), path.name)
    return pushed
