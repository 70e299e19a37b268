"""Building Docker images, and pulling what they start from."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import slipway
from slipway.errors import ImageError
from slipway.image.context import pack_context
from slipway.image.dockerfile import declared_args, parse_bases
from slipway.image.engine import INPUTS, Image, find_image
from slipway.image.recipe import Recipe, inputs_hash
from slipway.progress import Progress

if TYPE_CHECKING:
    from docker import DockerClient


# Docker hands these to every RUN by itself and keeps them out of the image's history.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "ftp_proxy", "all_proxy")
# What the engine says of its own doings, and the colours that it puts around errors.
_NOISE = re.compile(r"\s*--->|Removing intermediate container|Successfully (built|tagged) ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OURS = "slipway: "
_WORKS = ("RUN ", "COPY ", "ADD ")
_STEP = re.compile(r"Step (\d+)/(\d+) : (.*)", re.S)


def build_image(
    client: DockerClient, recipe: Recipe, progress: Progress, *, fresh: bool = False
) -> tuple[Image, bool]:
    """Build a recipe, unless an image of the same inputs is there.

    Args:
        client: the engine.
        recipe: what to build.
        progress: is told each step and each line of the build.
        fresh: build in any case, and without the engine's cache.

    Returns:
        The image, and whether it was built now.

    Raises:
        ImageError: a base image is missing, or a step failed.
    """
    bases = {ref: _base(client, ref, recipe, progress).id for ref in _bases(recipe)}
    recipe = _with_triggers(client, recipe)
    inputs = inputs_hash(recipe, bases)
    there = find_image(client, recipe.name)
    if there and there.labels.get(INPUTS) == inputs and not fresh:
        return there, False
    labels = {
        **recipe.labels,
        **recipe.remarks,
        INPUTS: inputs,
        "org.opencontainers.image.title": recipe.name,
        "org.opencontainers.image.version": slipway.__version__,
    }
    _run_build(client, recipe, labels, progress, fresh=fresh)
    image = find_image(client, recipe.name)
    if image is None or image.labels.get(INPUTS) != inputs:
        raise ImageError(
            f"{recipe.name}: the engine reported no error, but the image is not there; build again"
        )
    return image, True


def build_stage(client: DockerClient, recipe: Recipe, stage: str, progress: Progress) -> Image:
    """Name one stage of a recipe that was built just now, ``<image>-<stage>``; its layers are there.

    Raises:
        ImageError: a step failed.
    """
    _run_build(client, _with_triggers(client, recipe), {}, progress, stage=stage)
    image = find_image(client, f"{recipe.name}-{stage}")
    if image is None:
        raise ImageError(f"{recipe.name}: its stage {stage} was built, but is not there; build again")
    return image


def _bases(recipe: Recipe) -> list[str]:
    text = recipe.text()
    return parse_bases(text, declared_args(text, recipe.build_args))


def _base(client: DockerClient, ref: str, recipe: Recipe, progress: Progress) -> Image:
    import docker.errors

    image = find_image(client, ref)
    if image:
        return image
    progress.step(f"Pulling {ref}")
    try:
        client.images.pull(*_split(ref), platform=recipe.platform or None)
    except docker.errors.APIError as error:
        hint = f".\n  {recipe.hint}" if recipe.hint else ""
        raise ImageError(
            f"{ref}, which the Dockerfile starts from, is not in the engine and cannot be pulled:\n"
            f"  {error.explanation or error}\n"
            "  `invoke base` makes debian:trixie-slim from Debian packages; any other image has to be loaded "
            f"with `docker pull` or `docker load`{hint}"
        ) from error
    image = find_image(client, ref)
    if image is None:
        raise ImageError(f"{ref} was pulled, but is not in the engine; try again")
    return image


def _with_triggers(client: DockerClient, recipe: Recipe) -> Recipe:
    """The recipe, made of all files where an image that it starts from has lines for it (ONBUILD)."""
    configs = [client.images.get(ref).attrs.get("Config") or {} for ref in _bases(recipe)]
    return replace(recipe, copies_all=any(config.get("OnBuild") for config in configs))


def _split(ref: str) -> tuple[str, str]:
    name, colon, tag = ref.rpartition(":")
    return (name, tag) if colon and "/" not in tag else (ref, "latest")


def _run_build(
    client: DockerClient,
    recipe: Recipe,
    labels: Mapping[str, str],
    progress: Progress,
    *,
    fresh: bool = False,
    stage: str | None = None,
) -> None:
    import docker.errors

    text = recipe.text()
    with pack_context(recipe, os.environ.get) as archive:
        try:
            events = client.api.build(
                fileobj=archive,
                custom_context=True,
                dockerfile=recipe.dockerfile.name,
                tag=f"{recipe.name}-{stage}:latest" if stage else f"{recipe.name}:latest",
                target=stage,
                cache_from=list(recipe.cache_from),
                platform=recipe.platform or None,
                buildargs={**find_proxies(), **declared_args(text, recipe.build_args)},
                labels=dict(labels),
                nocache=fresh,
                rm=True,
                forcerm=True,
                decode=True,
            )
            _follow(recipe, events, progress)
        except docker.errors.APIError as error:
            raise ImageError(f"{recipe.dockerfile}: {error.explanation or error}") from error


def find_proxies() -> dict[str, str]:
    """The proxies of this machine's environment, in both spellings, as far as they are set."""
    names = [variant for name in _PROXIES for variant in (name, name.upper())]
    return {name: os.environ[name] for name in names if name in os.environ}


def _follow(recipe: Recipe, events: Iterable[Mapping[str, Any]], progress: Progress) -> None:
    step, problem, lines, said = "before the first step", "", list[str](), list[str]()
    # To the end, also after an error: docker-py keeps the connection open until then.
    for text, error in _lines(events):
        match = _STEP.match(text)
        if error:
            problem = error
        elif match:
            step, lines, said = f"step {match[1]}/{match[2]} ({match[3]})", [], []
            shown = f"[{match[1]}/{match[2]}] {' '.join(match[3].split())}"
            # The others are settings, and take no time.
            (progress.step if match[3].startswith(_WORKS) else progress.line)(shown)
        elif text:
            lines.append(text)
            # A step of ours that knows what is wrong says so in a line that begins with our name.
            said += [text.removeprefix(_OURS)] if text.startswith(_OURS) else []
            progress.line(text)
    if problem and said:
        raise ImageError(f"{recipe.dockerfile}: {' '.join(said)}")
    if problem:
        last = "".join(f"\n  {line}" for line in lines[-15:])
        raise ImageError(f"{recipe.dockerfile}: {step} failed: {problem}{last}")


def _lines(events: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    for event in events:
        if "error" in event:
            yield "", str(event["error"])
        else:
            text = str(event.get("stream") or event.get("status") or "")
            lines = (line.rstrip() for line in re.split(r"[\r\n]+", _COLOUR.sub("", text)))
            yield from ((line, "") for line in lines if line and not _NOISE.match(line))
