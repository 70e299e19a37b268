"""A registry of images, spoken to by HTTP: what lies behind a tag, and artifacts that no engine can push.

The engine pushes images itself. This serves the rest: https://github.com/opencontainers/distribution-spec.
"""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any
from urllib.parse import urljoin, urlsplit

from slipway.errors import RegistryError, UnknownImageError
from slipway.progress import OnProgress
from slipway.registry.call import Body, Calls
from slipway.registry.credentials import Credentials
from slipway.registry.reference import Reference

# What apptainer itself says when it pushes a .sif.
SIF_CONFIG = "application/vnd.sylabs.sif.config.v1+json"
SIF_LAYER = "application/vnd.sylabs.sif.layer.v1.sif"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
_MANIFESTS = (OCI_MANIFEST, "application/vnd.docker.distribution.manifest.v2+json", *_INDEXES)


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """What lies behind a reference.

    Attributes:
        digest: of the manifest, ``sha256:…``.
        image_id: the Docker image's id, which a ``.sif`` has where Slipway published it.
        size_bytes: all of it, as it is sent.
        layers: digest and size in bytes of each layer; of a ``.sif`` there is one, the file.
    """

    digest: str
    image_id: str | None
    size_bytes: int
    layers: tuple[tuple[str, int], ...]


class Registry:
    """One registry, for one user."""

    def __init__(self, host: str, credentials: Credentials | None, *, https: bool = True) -> None:
        self.host = host
        self._calls = Calls(host, credentials, https=https)

    def resolve(self, reference: Reference, platform: str) -> Manifest:
        """Find out what a reference means now.

        Args:
            reference: with a tag or a digest.
            platform: such as ``linux/amd64``, for an image that exists for several.

        Raises:
            UnknownImageError: there is none.
            RegistryLoginError: it may not be seen.
            RegistryTrustError: the registry is not to be trusted.
            RegistryError: the registry does not answer, or answers something else.
        """
        name = reference.digest or str(reference.tag)
        digest, content = self._manifest(reference, name)
        if content.get("mediaType") in _INDEXES or "manifests" in content:
            digest, content = self._manifest(reference, _choose(reference, content, platform))
        layers = tuple((layer["digest"], int(layer["size"])) for layer in content.get("layers", ()))
        config = content.get("config", {})
        is_sif = config.get("mediaType") == SIF_CONFIG
        if is_sif != (reference.kind == "oras"):
            has, scheme = ("a .sif", "oras") if is_sif else ("a Docker image", "docker")
            raise UnknownImageError(f"{reference} is {has}; write {scheme}://{reference}")
        image_id = content.get("annotations", {}).get("slipway.image") if is_sif else config.get("digest")
        return Manifest(
            digest=digest, image_id=image_id, size_bytes=sum(size for _, size in layers), layers=layers
        )

    def push_sif(
        self, reference: Reference, sif: Path, sha256: str, image_id: str, on_progress: OnProgress
    ) -> tuple[str, int]:
        """Push a ``.sif`` as ``apptainer push`` does; a file that is there is not sent again.

        Returns:
            The manifest's digest, and how many bytes of the file were sent.

        Raises:
            RegistryError: as :meth:`resolve`, or the registry went down in the middle.
        """
        size_bytes = sif.stat().st_size
        with sif.open("rb") as file:
            sent = self._push_blob(reference, file, f"sha256:{sha256}", size_bytes, on_progress)
        config = b"{}"
        self._push_bytes(reference, config)
        layer = {
            "mediaType": SIF_LAYER,
            "digest": f"sha256:{sha256}",
            "size": size_bytes,
            "annotations": {"org.opencontainers.image.title": sif.name},
        }
        manifest = {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": SIF_CONFIG, "digest": _digest(config), "size": len(config)},
            "layers": [layer],
            "annotations": {"slipway.image": image_id},
        }
        content = json.dumps(manifest).encode()
        headers = {"Content-Type": OCI_MANIFEST}
        path = f"/v2/{reference.repository}/manifests/{reference.tag}"
        self._calls.ask("PUT", path, reference, headers=headers, data=content)
        return _digest(content), sent

    def _manifest(self, reference: Reference, name: str) -> tuple[str, dict[str, Any]]:
        path = f"/v2/{reference.repository}/manifests/{name}"
        reply = self._calls.ask("GET", path, reference, headers={"Accept": ", ".join(_MANIFESTS)})
        digest = _digest(reply.content)
        if name.startswith("sha256:") and digest != name:
            raise RegistryError(f"{self.host} gave something else than {reference.repository}@{name}")
        try:
            content = reply.json()
        except ValueError:
            content = None
        if not isinstance(content, dict):
            raise RegistryError(f"{self.host}: what answers there is no registry; is its name right?")
        return digest, content

    def _push_bytes(self, reference: Reference, content: bytes) -> None:
        self._push_blob(reference, io.BytesIO(content), _digest(content), len(content), lambda _: None)

    def _push_blob(
        self, reference: Reference, file: IO[bytes], digest: str, size_bytes: int, on_progress: OnProgress
    ) -> int:
        blobs = f"/v2/{reference.repository}/blobs/"
        if self._calls.ask("HEAD", f"{blobs}{digest}", reference, push=True, missing_ok=True).ok:
            return 0
        started = self._calls.ask("POST", f"{blobs}uploads/", reference, push=True)
        place = urljoin(started.url, started.headers.get("Location", ""))
        url = f"{place}{'&' if urlsplit(place).query else '?'}digest={digest}"
        body = Body(file, size_bytes, on_progress)
        headers = {"Content-Type": "application/octet-stream"}
        self._calls.ask("PUT", url, reference, push=True, headers=headers, data=body)
        return size_bytes


def _choose(reference: Reference, index: Mapping[str, Any], platform: str) -> str:
    wanted = platform.split("/")[:2]
    for entry in index.get("manifests", ()):
        one = entry.get("platform", {})
        if [one.get("os"), one.get("architecture")] == wanted:
            return str(entry["digest"])
    raise UnknownImageError(f"{reference} is not there for {platform}")


def _digest(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"
