"""Builds by BuildKit: ``docker buildx`` is run, and what it prints is followed."""

from __future__ import annotations

import os
import re
from collections import defaultdict

from slipway.errors import ImageError
from slipway.image.buildkit import Event, Kind, PlainReader, build_command
from slipway.image.context import pack_context
from slipway.image.endpoint import find_endpoint
from slipway.image.features import syntax_image
from slipway.image.order import Order, takes_time
from slipway.progress import Progress
from slipway.shell import LocalShell


def build_with_buildx(version: tuple[int, int], order: Order, progress: Progress) -> None:
    """Have BuildKit build.

    Args:
        version: of buildx.
        order: what to build.
        progress: is told each step and each line.

    Raises:
        ImageError: a step failed.
    """
    recipe = order.recipe
    wanted = [one for one in recipe.secrets if one.id in order.secrets]
    # Words of a command can be seen by all who are on the machine, its environment cannot.
    environment = {**os.environ, "DOCKER_BUILDKIT": "1"}
    argv = build_command(
        context=find_endpoint().context,
        version=version,
        dockerfile=recipe.dockerfile.name,
        tag=order.tag,
        build_args=order.build_args,
        labels=order.labels,
        environment=environment,
        secrets=wanted,
        platform=recipe.platform,
        target=order.stage,
        cache_from=recipe.cache_from,
        keeps_cache=recipe.keeps_cache,
        fresh=order.fresh,
    )
    with pack_context(recipe, os.environ.get) as archive:
        follower = _Follower(order, progress)
        done = LocalShell(env=environment).follow(argv, stdin=archive, on_output=follower.listen)
        follower.listen("\n")
    if done:
        raise follower.explain(done)


class _Follower:
    """What a build has printed so far."""

    def __init__(self, order: Order, progress: Progress) -> None:
        self._order, self._progress = order, progress
        self._reader, self._rest, self._problem = PlainReader(), "", ""
        # What was printed, by step; several go on at once.
        self._steps: dict[int, Event] = {}
        self._printed: dict[int, list[str]] = defaultdict(list)
        self._failed = -1
        # The step that is shown, and those that go on or have ended beside it.
        self._shown: int | None = None
        self._beside: list[int] = []
        self._ended: set[int] = set()

    def listen(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(self._reader.read(line.rstrip("\r")))

    def _take(self, event: Event) -> None:
        if event.kind is Kind.STEP:
            self._steps[event.step] = event
            if takes_time(event.text):
                self._beside.append(event.step)
                self._show_next()
        elif event.kind is Kind.ERROR:
            self._problem = event.text
        elif event.kind is Kind.LINE:
            for line in self._order.clean(event.text):
                self._printed[event.step].append(line)
                self._progress.line(line)
        elif event.kind in (Kind.ENDED, Kind.FAILED):
            self._ended.add(event.step)
            self._failed = event.step if event.kind is Kind.FAILED else self._failed
            self._show_next()

    def _show_next(self) -> None:
        """Show a step until it ends, and then those beside it: each second is told of one step."""
        while self._beside and (self._shown is None or self._shown in self._ended):
            self._shown = self._beside.pop(0)
            step = self._steps[self._shown]
            self._progress.step(f"[{step.position}] {' '.join(step.text.split())}")

    def explain(self, code: int) -> ImageError:
        """The error for a build that ended with another exit code than 0."""
        step, lines = self._steps.get(self._failed), self._printed[self._failed]
        problem = self._problem or f"`docker buildx build` ended with exit code {code}"
        image = syntax_image(self._order.recipe.text())
        if image and step is None and re.search(rf"{re.escape(image)}|frontend|source metadata", problem):
            return ImageError(
                f"{self._order.recipe.dockerfile}: its line `# syntax={image}` has BuildKit fetch that image "
                f"from a registry to read the Dockerfile with, and it cannot be fetched: {problem}. Without "
                "the line the engine's own reader does it, which knows mounts, secrets and here-documents"
            )
        where = f"step {step.position} ({' '.join(step.text.split())})" if step else "the build"
        return self._order.explain(where, problem, lines)
