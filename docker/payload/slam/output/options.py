"""What may be asked for beside the usual results."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from importlib.util import find_spec

from slam.errors import UsageError


@dataclass(frozen=True, kw_only=True)
class Exports:
    """What is written on request: COLMAP's model as text, undistorted images, a recording for Rerun."""

    colmap_text: bool = False
    undistort: bool = False
    rerun: bool = False


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is written."""
    group = parser.add_argument_group("results of infer")
    group.add_argument(
        "--undistort",
        action="store_true",
        help="write images without distortion, with their cameras (undistorted/): for Gaussian splatting, "
        "NeRF and dense reconstruction; as large as the images",
    )
    group.add_argument(
        "--colmap-text", action="store_true", help="write COLMAP's model as text, too (sparse/0/*.txt)"
    )
    group.add_argument(
        "--rerun",
        action="store_true",
        help="write a recording for the Rerun viewer (scene.rrd); needs the package rerun-sdk",
    )


def require_exports(arguments: argparse.Namespace) -> None:
    """Make sure that what is asked for can be written.

    Raises:
        UsageError: the package that writes it is missing.
    """
    if arguments.rerun and find_spec("rerun") is None:
        raise UsageError(
            "--rerun needs the package rerun-sdk, which is not installed here; install it (for an image, by "
            "a Dockerfile that begins FROM it), or leave --rerun out"
        )
    if arguments.undistort and arguments.engine != "colmap" and find_spec("cv2") is None:
        raise UsageError(
            "--undistort needs OpenCV, which is not installed here, for any engine but colmap; install "
            "opencv-python-headless, or leave --undistort out"
        )


def exports_of(arguments: argparse.Namespace) -> Exports:
    """What the command line asks for."""
    return Exports(colmap_text=arguments.colmap_text, undistort=arguments.undistort, rerun=arguments.rerun)
