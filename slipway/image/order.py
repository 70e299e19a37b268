"""What a builder is asked for."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.build_secret import hide
from slipway.errors import ImageError
from slipway.image.recipe import Recipe

_COLOUR = re.compile(r"\x1b\[[0-9;]*m")
_OURS = "slipway: "
_WORKS = ("RUN ", "COPY ", "ADD ")
_SHOWN = 15


@dataclass(frozen=True, kw_only=True)
class Order:
    """One build.

    Attributes:
        recipe: what is built.
        tag: the image's name, with its tag.
        stage: the stage that is built; the last one without it.
        build_args: all arguments, proxies among them.
        labels: the image's labels.
        secrets: what the Dockerfile may ask for, by id.
        fresh: no step is taken from an earlier build.
    """

    recipe: Recipe
    tag: str
    build_args: Mapping[str, str]
    labels: Mapping[str, str]
    secrets: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    stage: str | None = None
    fresh: bool = False

    def clean(self, text: str) -> list[str]:
        """The lines of what a build has printed: without colours, and without the values of secrets."""
        lines = (line.rstrip() for line in re.split(r"[\r\n]+", _COLOUR.sub("", text)))
        return [hide(line, self.secrets) for line in lines if line]

    def explain(self, step: str, problem: str, lines: list[str]) -> ImageError:
        """The error for a build that failed.

        Args:
            step: the step that failed, in words.
            problem: what the builder says.
            lines: what the step has printed.
        """
        # A step of ours that knows what is wrong says so in a line that begins with our name.
        said = [line.removeprefix(_OURS) for line in lines if line.startswith(_OURS)]
        if said:
            return ImageError(f"{self.recipe.dockerfile}: {' '.join(said)}")
        last = "".join(f"\n  {line}" for line in lines[-_SHOWN:])
        return ImageError(
            f"{self.recipe.dockerfile}: {step} failed: {hide(problem, self.secrets).rstrip()}{last}"
        )


def takes_time(instruction: str) -> bool:
    """Whether an instruction does something; the others are settings."""
    return instruction.upper().startswith(_WORKS)
