"""What any engine is asked, and what it answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from slam.output.camera import Camera
from slam.output.cloud import Cloud
from slam.output.options import Exports
from slam.trajectory import Trajectory


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to work on a sequence.

    ``max_image_size`` bounds the longer side, in pixels, of the images that features are looked for in;
    ``None`` leaves it to the engine. ``options`` are those of one engine that were asked for, by their names,
    and ``exports`` what is written on request.
    """

    threads: int
    seed: int = 0
    max_image_size: int | None = None
    options: Mapping[str, object] = field(default_factory=dict)
    exports: Exports = field(default_factory=Exports)


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Where the camera was and what it saw, in one world, of arbitrary scale unless the input gives one.

    ``trajectory`` holds the registered frames in order, and ``frames`` are their places in the sequence;
    ``None`` where these are all. ``parts`` are the frames of further models, each in a world of its own,
    that could not be joined with the first. ``mean_reprojection_error_px`` is over all observations, or
    ``None`` where an engine has none. ``versions`` names the libraries behind it, ``camera`` is the one that
    took the sequence's files. ``files`` are more results, files or folders, by their names, and ``facts``
    more for the summary. ``caveat`` says why its results mean nothing, where that is so.
    """

    trajectory: Trajectory
    cloud: Cloud
    mean_reprojection_error_px: float | None
    versions: Mapping[str, str]
    camera: Camera
    frames: tuple[int, ...] | None = None
    parts: tuple[tuple[int, ...], ...] = ()
    files: Mapping[str, Path] = field(default_factory=dict)
    facts: Mapping[str, object] = field(default_factory=dict)
    caveat: str | None = None

    @property
    def places(self) -> tuple[int, ...]:
        """The places in the sequence of the frames that have a pose."""
        return tuple(range(len(self.trajectory))) if self.frames is None else self.frames
