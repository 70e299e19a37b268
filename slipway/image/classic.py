"""Builds by the engine's own API, through docker-py: Docker's classic builder, and Podman's."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import IO, TYPE_CHECKING, Any

from slipway.errors import ImageError
from slipway.image.context import pack_context
from slipway.image.order import Order, takes_time
from slipway.progress import Progress

if TYPE_CHECKING:
    from docker import DockerClient

# What the engine says of its own doings.
_NOISE = re.compile(r"\s*--->|Removing intermediate container|Successfully (built|tagged) |--> ")
# Podman numbers the steps of each stage, and the stages.
_STEP = re.compile(r"(?:\[\d+/\d+\] )?(?:STEP|Step) ([0-9]{1,18})/([0-9]{1,18}) ?: (.*)", re.S)
# Podman takes such a file out of the context before it builds.
_SECRET = "slipway-secret-{}"  # noqa: S105 - a name


def build_with_engine(client: DockerClient, order: Order, progress: Progress) -> None:
    """Have the engine build.

    Raises:
        ImageError: a step failed.
    """
    import docker.errors

    with pack_context(order.recipe, os.environ.get, _secret_files(order)) as archive:
        try:
            _follow(order, _events(client, order, archive), progress)
        except docker.errors.APIError as error:
            raise ImageError(f"{order.recipe.dockerfile}: {error.explanation or error}") from error


def _secret_files(order: Order) -> dict[str, bytes]:
    return {_SECRET.format(number): value for number, value in enumerate(order.secrets.values())}


def _events(client: DockerClient, order: Order, archive: IO[bytes]) -> Iterable[Mapping[str, Any]]:
    if order.secrets:
        return _events_with_secrets(client, order, archive)
    found: Iterable[Mapping[str, Any]] = client.api.build(
        fileobj=archive,
        custom_context=True,
        dockerfile=order.recipe.dockerfile.name,
        tag=order.tag,
        target=order.stage,
        cache_from=list(order.recipe.cache_from),
        platform=order.recipe.platform or None,
        buildargs=dict(order.build_args),
        labels=dict(order.labels),
        nocache=order.fresh,
        rm=True,
        forcerm=True,
        decode=True,
    )
    return found


def _events_with_secrets(
    client: DockerClient, order: Order, archive: IO[bytes]
) -> Iterator[Mapping[str, Any]]:
    """As docker-py's own ``build``, which has no word for Podman's secrets."""
    secrets = [f"id={name},src={_SECRET.format(number)}" for number, name in enumerate(order.secrets)]
    settings: dict[str, Any] = {
        "dockerfile": order.recipe.dockerfile.name,
        "t": order.tag,
        "target": order.stage,
        "platform": order.recipe.platform or None,
        "buildargs": json.dumps(dict(order.build_args)),
        "labels": json.dumps(dict(order.labels)),
        "nocache": order.fresh,
        "rm": True,
        "forcerm": True,
        "secrets": json.dumps(secrets),
    }
    api: Any = client.api
    answer = api.post(
        api._url("/build"),
        data=archive,
        params={name: value for name, value in settings.items() if value is not None},
        headers={"Content-Type": "application/x-tar"},
        stream=True,
        timeout=None,
    )
    api._raise_for_status(answer)
    yield from api._stream_helper(answer, decode=True)


def _follow(order: Order, events: Iterable[Mapping[str, Any]], progress: Progress) -> None:
    step, problem, lines = "before the first step", "", list[str]()
    # To the end, also after an error: docker-py keeps the connection open until then.
    for text, error in _lines(order, events):
        match = _STEP.match(text)
        if error:
            problem = error
        elif match:
            step, lines = f"step {match[1]}/{match[2]} ({match[3]})", []
            shown = f"[{match[1]}/{match[2]}] {' '.join(match[3].split())}"
            (progress.step if takes_time(match[3]) else progress.line)(shown)
        elif text:
            lines.append(text)
            progress.line(text)
    if problem:
        raise order.explain(step, problem, lines)


def _lines(order: Order, events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for event in events:
        if "error" in event:
            yield "", str(event["error"])
        else:
            text = str(event.get("stream") or event.get("status") or "")
            yield from ((line, "") for line in order.clean(text) if not _NOISE.match(line))
