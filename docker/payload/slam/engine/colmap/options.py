"""What COLMAP may be asked for."""

from __future__ import annotations

import argparse

from slam.grammar import one_of, shown

MATCHERS = ("auto", "sequential", "exhaustive")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add COLMAP's options."""
    group = parser.add_argument_group("infer with --engine colmap")
    group.add_argument("--matcher", type=one_of(MATCHERS), metavar=shown(MATCHERS), default="auto")
