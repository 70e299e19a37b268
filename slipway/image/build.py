"""Building Docker images, and pulling what they start from."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import slipway
from slipway.errors import ImageError
from slipway.image.buildx import build_with_buildx
from slipway.image.classic import build_with_engine
from slipway.image.docker_builder import choose_builder
from slipway.image.dockerfile import declared_args, parse_bases
from slipway.image.engine import INPUTS, Image, find_image
from slipway.image.features import secret_names
from slipway.image.order import Order
from slipway.image.recipe import Recipe, inputs_hash
from slipway.progress import Progress

if TYPE_CHECKING:
    from docker import DockerClient


# Docker hands these to every RUN by itself and keeps them out of the image's history.
_PROXIES = ("http_proxy", "https_proxy", "no_proxy", "ftp_proxy", "all_proxy")


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
        ImageError: a base image is missing, a step failed, or the builder here does not know such lines.
        ConfigError: a secret or a file of certificates cannot be read.
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
    builder = choose_builder(client)
    builder.check(recipe)
    text = recipe.text()
    order = Order(
        recipe=recipe,
        tag=f"{recipe.name}-{stage}:latest" if stage else f"{recipe.name}:latest",
        stage=stage,
        build_args={**find_proxies(), **declared_args(text, recipe.build_args)},
        labels=labels,
        secrets=_secrets(recipe, text, progress),
        fresh=fresh,
    )
    if builder.buildx is not None:
        build_with_buildx(builder.buildx, order, progress)
    else:
        build_with_engine(client, order, progress)


def _secrets(recipe: Recipe, text: str, progress: Progress) -> dict[str, bytes]:
    """The values of those secrets that the Dockerfile asks for."""
    wanted = secret_names(text)
    is_unclear = any("$" in name for name in wanted)
    given = {one.id: one for one in recipe.secrets if is_unclear or one.id in wanted}
    missing = [name for name in wanted if name not in given and "$" not in name]
    if missing:
        progress.note(
            f"The Dockerfile asks for the secret {missing[0]}, which BUILD_SECRETS of the profile does not "
            "name; its step goes without"
        )
    return {name: one.read(os.environ) for name, one in given.items()}


def find_proxies() -> dict[str, str]:
    """The proxies of this machine's environment, in both spellings, as far as they are set."""
    names = [variant for name in _PROXIES for variant in (name, name.upper())]
    return {name: os.environ[name] for name in names if name in os.environ}
