"""Layers of earlier builds in a registry, for machines that begin with none, as those of CI do."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from slipway.errors import EngineError, RegistryError
from slipway.image.build import build_image, build_stage
from slipway.image.engine import Image
from slipway.image.recipe import Recipe
from slipway.progress import Progress
from slipway.registry.publish import publish_image
from slipway.registry.reference import Reference, parse_reference

if TYPE_CHECKING:
    from docker import DockerClient

_STAGE = re.compile(r"^\s*FROM\s+.*\s+AS\s+(\S+)\s*$", re.I | re.M)


def parse_stages(dockerfile: str) -> list[str]:
    """The names of the stages that a Dockerfile has before its last one, in order."""
    last = [match.start() for match in re.finditer(r"^\s*FROM\s", dockerfile, re.I | re.M)][-1:]
    return [match[1] for match in _STAGE.finditer(dockerfile) if match.start() < last[0]]


def cache_references(recipe: Recipe, registry: str) -> dict[str | None, Reference]:
    """Where the layers of each stage lie, by its name; those of the image itself have none."""
    place = f"{registry.rstrip('/')}/{recipe.name}"
    references: dict[str | None, Reference] = {None: parse_reference(f"{place}:cache")}
    for stage in parse_stages(recipe.text()):
        references[stage] = parse_reference(f"{place}:cache-{stage}")
    return references


def build_with_cache(
    client: DockerClient, recipe: Recipe, registry: str, progress: Progress, *, fresh: bool = False
) -> tuple[Image, bool]:
    """Build a recipe from the layers that a registry has, and bring it the new ones.

    The engine's builder takes each step from there whose instruction, files and base are the same. What the
    cache cannot do, because the registry does not answer, say, is told, and the build goes on without.

    Args:
        client: the engine.
        recipe: what to build.
        registry: where the layers are, without the image's own name.
        progress: is told each step.
        fresh: build without any cache; the new layers are brought there all the same.

    Returns:
        As :func:`slipway.image.build.build_image`.
    """
    references = cache_references(recipe, registry)
    there = [] if fresh else [str(one) for one in references.values() if _pull(client, one, progress)]
    image, built = build_image(
        client, replace(recipe, cache_from=tuple(there), keeps_cache=True), progress, fresh=fresh
    )
    if built:
        try:
            for stage, reference in references.items():
                one = (
                    build_stage(client, replace(recipe, keeps_cache=True), stage, progress)
                    if stage
                    else image
                )
                publish_image(client, one, reference, progress)
        except RegistryError as error:
            progress.note(f"The layers of this build were not kept for the next one: {error}")
    return image, built


def _pull(client: DockerClient, reference: Reference, progress: Progress) -> bool:
    import docker.errors
    import requests
    import urllib3

    progress.step(f"Pulling layers of {reference}")
    try:
        client.images.pull(f"{reference.host}/{reference.repository}", tag=reference.tag)
    except docker.errors.APIError as error:
        progress.note(f"There are no layers to begin with: {reference}: {error.explanation or error}")
        return False
    except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
        raise EngineError(
            f"the Docker engine did not pull {reference}: {error}; is it still running?"
        ) from error
    return True
