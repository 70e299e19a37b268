"""References: the names that images have in registries."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from slipway.errors import UsageError

DOCKER_HUB = "docker.io"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::\d{{1,5}})?\Z")
_REPOSITORY = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*\Z"
)
_TAG = re.compile(r"\w[\w.-]{0,127}\Z", re.A)
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """One image in a registry: a Docker image, or with ``oras`` a ``.sif``.

    Attributes:
        kind: what lies there.
        host: the registry, with its port where it has one.
        repository: the name there, with slashes in it.
        tag: a name that may be given to another image later.
        digest: ``sha256:…`` of the manifest; it is never another one.
    """

    kind: Literal["docker", "oras"]
    host: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.host}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")

    @property
    def uri(self) -> str:
        """As Apptainer wants to have it, which takes no tag beside a digest."""
        return f"{self.kind}://{replace(self, tag=None) if self.digest else self}"

    def at(self, digest: str) -> Reference:
        """The same image by its digest."""
        return replace(self, tag=None, digest=digest)


def parse_reference(text: str) -> Reference:
    """Read ``[docker://|oras://]HOST/REPOSITORY[:TAG][@sha256:…]``; without a tag and a digest, ``latest``.

    As with Docker, what has neither a dot nor a port in front of its first slash is on Docker Hub.

    Raises:
        UsageError: it is no reference.
    """
    kind: Literal["docker", "oras"] = "oras" if text.startswith("oras://") else "docker"
    name, at, digest = text.removeprefix(f"{kind}://").partition("@")
    host, repository = _split_host(name)
    repository, tag = _split_tag(repository)
    if at and not _DIGEST.match(digest):
        raise UsageError(
            f"{text:.200}: what follows @ is no digest; write sha256: and 64 digits of 0-9 and a-f"
        )
    if tag is not None and not _TAG.match(tag):
        raise UsageError(f"{text:.200}: {tag!r:.200} is no tag; write up to 128 letters, digits and _ . -")
    if not _HOST.match(host) or not _REPOSITORY.match(repository):
        raise UsageError(
            f"{text:.200}: write HOST/NAME:TAG or HOST/NAME@sha256:…, as in ghcr.io/me/slipway-cpu:v1; names "
            "in registries have no capital letters"
        )
    tag = "latest" if tag is None and not at else tag
    return Reference(kind=kind, host=host, repository=repository, tag=tag, digest=digest or None)


def _split_host(name: str) -> tuple[str, str]:
    host, slash, rest = name.partition("/")
    if slash and ("." in host or ":" in host or host == "localhost"):
        return host, rest
    return DOCKER_HUB, name if slash else f"library/{name}"


def _split_tag(repository: str) -> tuple[str, str | None]:
    name, colon, tag = repository.partition(":")
    return name, tag if colon else None
