"""What COLMAP may be asked for."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from slam.grammar import one_of, shown

MATCHERS = ("auto", "sequential", "exhaustive", "vocabtree")
MAPPERS = ("incremental", "global")
QUALITIES = ("low", "medium", "high", "extreme")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How COLMAP works on a sequence; ``quality`` ``None`` leaves COLMAP's own defaults as they are."""

    matcher: str = "auto"
    loops: bool = True
    mapper: str = "incremental"
    quality: str | None = None
    refine_camera: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add COLMAP's options; those that were not asked for are absent from what is read."""
    group = parser.add_argument_group("infer with --engine colmap", argument_default=argparse.SUPPRESS)
    group.add_argument(
        "--matcher",
        type=one_of(MATCHERS),
        metavar=shown(MATCHERS),
        help="which images are compared: each with those near it in order, all with all, or each with those "
        "that look most alike (default: auto; sequential where more than 30 frames are a video)",
    )
    group.add_argument(
        "--no-loops",
        dest="loops",
        action="store_false",
        help="do not look for places that a sequential camera comes back to",
    )
    group.add_argument(
        "--mapper",
        type=one_of(MAPPERS),
        metavar=shown(MAPPERS),
        help="place images one after the other, or all at once as GLOMAP does (default: incremental)",
    )
    group.add_argument(
        "--quality",
        type=one_of(QUALITIES),
        metavar=shown(QUALITIES),
        help="what COLMAP's automatic_reconstructor sets by these words (default: COLMAP's own defaults, "
        "between medium and high)",
    )
    group.add_argument(
        "--refine-camera",
        action="store_true",
        help="take the calibration for a first guess: focal length and distortion are found with the poses",
    )


def choose(asked: Mapping[str, Any]) -> Options:
    """COLMAP's defaults, and what was asked for."""
    return Options(**asked)
