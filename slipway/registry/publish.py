"""Publishing: a Docker image, and the ``.sif`` of it, to a registry."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from slipway.errors import EngineError, RegistryError, UsageError
from slipway.image.engine import INPUTS, Image
from slipway.progress import Amount, Progress
from slipway.registry.call import answers
from slipway.registry.client import Registry
from slipway.registry.credentials import find_credentials
from slipway.registry.reference import Reference, parse_reference
from slipway.registry.refusal import explain_silence, explain_words
from slipway.sif.kept import Sif

if TYPE_CHECKING:
    from docker import DockerClient

# The engine tries five times, and waits longer each time. A registry that is gone for this long is gone.
_PATIENCE = 2
_RETRY = re.compile(r"Retrying in 1 second")
# The engine says nothing while a registry puts a large layer away.
SILENCE_S = 1800


@dataclass(frozen=True, kw_only=True)
class Published:
    """What lies in a registry now.

    Attributes:
        reference: under which name.
        digest: of its manifest.
        size_bytes: of what was published, as this machine has it.
        layers: how many there are; a ``.sif`` is one.
        sent_layers: how many of them were not there before.
        file: the ``.sif`` on this machine.
    """

    reference: Reference
    digest: str
    size_bytes: int
    layers: int
    sent_layers: int
    file: Path | None = None

    @property
    def pinned(self) -> str:
        """The reference by digest, with its scheme."""
        return self.reference.at(self.digest).uri

    def listed(self) -> dict[str, object]:
        """As JSON has it."""
        return {
            "kind": self.reference.kind,
            "name": f"{self.reference.host}/{self.reference.repository}",
            "tag": self.reference.tag,
            "digest": self.digest,
            "reference": self.pinned,
            "size_bytes": self.size_bytes,
            "layers": self.layers,
            "sent_layers": self.sent_layers,
            "file": str(self.file) if self.file else None,
        }


def choose_reference(registry: str, image: Image, tag: str | None) -> Reference:
    """The name that an image gets in a registry.

    Args:
        registry: where, with all that comes before the image's own name: ``ghcr.io/me``.
        image: the image.
        tag: the tag. Without one it is made from what the image was built from.

    Raises:
        UsageError: that is no reference.
    """
    if "@" in registry or not registry.strip("/"):
        raise UsageError(f"--registry {registry}: write where the image goes, such as ghcr.io/me")
    chosen = tag or image.labels.get(INPUTS, image.id.removeprefix("sha256:"))[:16]
    return parse_reference(f"{registry.removeprefix('docker://').rstrip('/')}/{image.name}:{chosen}")


def sif_reference(image: Reference) -> Reference:
    """The name of the ``.sif`` beside an image: the same tag with ``.sif`` behind it.

    Raises:
        UsageError: that is too long for a tag.
    """
    place = parse_reference(f"{image.host}/{image.repository}:{image.tag}.sif")
    return replace(place, kind="oras")


def publish_image(client: DockerClient, image: Image, reference: Reference, progress: Progress) -> Published:
    """Tag an image, and have the engine push it, with the credentials of ``docker login``.

    Layers that the registry has are not sent.

    Raises:
        EngineError: the engine failed.
        RegistryError: the registry did; its subclasses say why.
    """
    progress.step(f"Pushing {reference}")
    seen = _push(client, image, reference, progress)
    if seen.digest is None:
        raise RegistryError(f"{reference}: the engine reported no error and no digest; publish again")
    return Published(
        reference=reference,
        digest=seen.digest,
        size_bytes=image.size_bytes,
        layers=len(seen.states),
        sent_layers=sum(state == "Pushed" for state in seen.states.values()),
    )


def publish_sif(sif: Sif, image: Published, progress: Progress, *, https: bool = True) -> Published:
    """Push a ``.sif`` to where the image is that it was made from; see :func:`sif_reference`.

    Args:
        sif: the file.
        image: the image, as it was published.
        progress: is told how far it is.
        https: off for a registry without TLS.

    Raises:
        RegistryError: as :func:`publish_image`; the message says that the image is there all the same.
    """
    place = sif_reference(image.reference)
    try:
        return _push_sif(sif, place, progress, https=https)
    except RegistryError as error:
        raise type(error)(
            f"{error}\n  The image itself is published, as {image.pinned}; its .sif is not"
        ) from error


def _push_sif(sif: Sif, place: Reference, progress: Progress, *, https: bool) -> Published:
    progress.step(f"Pushing {place.uri} ({sif.size_bytes / 1e6:,.0f} MB)")
    registry = Registry(place.host, find_credentials(place.host), https=https)
    digest, sent = registry.push_sif(place, sif.path, sif.sha256, sif.image_id, progress.transfer)
    return Published(
        reference=place,
        digest=digest,
        size_bytes=sif.size_bytes,
        layers=1,
        sent_layers=1 if sent else 0,
        file=sif.path,
    )


def _push(client: DockerClient, image: Image, reference: Reference, progress: Progress) -> _Pushed:
    import docker.errors
    import requests
    import urllib3

    repository, seen, api = f"{reference.host}/{reference.repository}", _Pushed(), client.api
    usual = api.timeout
    try:
        api.timeout = SILENCE_S
        client.images.get(image.id).tag(repository, reference.tag)
        events: Any = api.push(repository, reference.tag, stream=True, decode=True)
        _follow(events, seen, reference, progress)
    except docker.errors.APIError as error:
        raise _refused(str(error.explanation or error), reference) from error
    except (requests.RequestException, urllib3.exceptions.HTTPError, docker.errors.DockerException) as error:
        raise EngineError(
            f"the Docker engine did not push {reference}: {error}; is it still running?"
        ) from error
    finally:
        api.timeout = usual
    return seen


@dataclass
class _Pushed:
    """What the engine has said so far."""

    states: dict[str, str] = field(default_factory=dict)
    done: dict[str, tuple[int, int]] = field(default_factory=dict)
    digest: str | None = None
    began: float = field(default_factory=time.monotonic)

    def amount(self) -> Amount:
        done = sum(done for done, _ in self.done.values())
        total = sum(total for _, total in self.done.values())
        passed = time.monotonic() - self.began
        return Amount(done_bytes=done, total_bytes=total, moved_bytes=done, elapsed_s=passed)


def _follow(
    events: Iterable[Mapping[str, Any]], seen: _Pushed, reference: Reference, progress: Progress
) -> None:
    problem, silences = "", 0
    # To the end, also after an error: docker-py keeps the connection open until then.
    for event in events:
        problem = str(event.get("error") or problem)
        layer, status = str(event.get("id", "")), str(event.get("status", ""))
        seen.digest = (event.get("aux") or {}).get("Digest") or seen.digest
        if not layer or not status:
            continue
        if status.startswith("Retrying"):
            progress.line(f"{layer}: the registry did not take it. {status}")
            silences += bool(_RETRY.match(status)) and not answers(reference.host)
            if silences >= _PATIENCE:
                events.close()  # type: ignore[attr-defined]  # docker-py gives a generator
                raise RegistryError(
                    f"{reference}: {explain_silence(reference.host, 'nobody is there any more')}"
                )
        else:
            _note(event, layer, status, seen, progress)
    if problem:
        raise _refused(problem, reference)


def _refused(words: str, reference: Reference) -> RegistryError:
    return explain_words(words, reference) or RegistryError(f"{reference}: it could not be pushed: {words}")


def _note(event: Mapping[str, Any], layer: str, status: str, seen: _Pushed, progress: Progress) -> None:
    detail = event.get("progressDetail") or {}
    if "current" in detail:
        # What the engine estimates beforehand may be less than what comes.
        done = int(detail["current"])
        seen.done[layer] = (done, max(done, int(detail.get("total") or 0)))
        progress.transfer(seen.amount())
    else:
        seen.states[layer] = status
