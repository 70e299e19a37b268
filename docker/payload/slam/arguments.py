"""The program's options, and what they ask for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slam.engine.droid import options
from slam.errors import UsageError
from slam.grammar import Parser, name, one_of, place, positive, seconds, shown, whole

if TYPE_CHECKING:
    from slam.dataset.sequence import Choice

TASKS = ("infer", "evaluate", "train")
ENGINES = ("colmap", "droid")
MATCHERS = ("auto", "sequential", "exhaustive")
ALIGNMENTS = ("sim3", "se3", "origin", "none")
BENCHMARKS = ("tum",)
STEP_UNITS = ("frames", "meters", "degrees", "radians", "seconds")


def build_parser(environment: Mapping[str, str]) -> Parser:
    """The command line's grammar."""
    parser = Parser(prog="slam", description=sys.modules["slam"].__doc__)
    parser.add_argument("--task", type=one_of(TASKS), metavar=shown(TASKS), help="what to do")
    parser.add_argument(
        "--engine",
        type=one_of(ENGINES),
        metavar=shown(ENGINES),
        default=environment.get("SLAM_ENGINE") or "colmap",
        help="what infers (default: the image's own)",
    )
    parser.add_argument("--dataset", type=name, metavar="NAME", help="a folder in the data root")
    parser.add_argument("--data-root", type=place, default=Path("/data"), metavar="FOLDER")
    parser.add_argument(
        "--out",
        type=place,
        default=Path(environment["SLIPWAY_OUT"]) if environment.get("SLIPWAY_OUT") else None,
        metavar="FOLDER",
        help="where results go (default: $SLIPWAY_OUT)",
    )
    images = parser.add_argument_group("infer")
    images.add_argument("--matcher", type=one_of(MATCHERS), metavar=shown(MATCHERS), default="auto")
    images.add_argument(
        "--max-image-size",
        type=positive,
        metavar="PIXELS",
        help="work on images whose longer side is at most this (default: as the dataset has it)",
    )
    images.add_argument("--threads", type=positive, metavar="N", help="fewer than the job was given")
    images.add_argument("--seed", type=whole(0), default=0, metavar="N")
    compared = parser.add_argument_group("evaluate, and infer where there is ground truth")
    compared.add_argument(
        "--estimate", type=place, metavar="FILE", help="trajectory in TUM format (evaluate)"
    )
    compared.add_argument(
        "--groundtruth", type=place, metavar="FILE", help="trajectory in TUM format (default: the dataset's)"
    )
    compared.add_argument(
        "--align", type=one_of(ALIGNMENTS), metavar=shown(ALIGNMENTS), help="(default: sim3)"
    )
    compared.add_argument(
        "--max-difference",
        type=seconds,
        default=0.01,
        metavar="S",
        help="how far apart two timestamps of one moment may be (default: 0.01 s)",
    )
    options.add_arguments(parser)
    _add_sequences(parser)
    return parser


def _add_sequences(parser: Parser) -> None:
    images = parser.add_argument_group("images")
    images.add_argument(
        "--sequence",
        type=name,
        action="append",
        metavar="NAME",
        help="a sequence of the dataset, also by a part of its name (fr1/xyz); may be given several times "
        "(default: all that are there)",
    )
    images.add_argument("--stride", type=whole(1), metavar="N", help="take every N-th image")
    images.add_argument(
        "--t0", type=whole(0), default=0, metavar="N", help="leave out the first N of these (default: 0)"
    )
    images.add_argument("--max-frames", type=whole(1), metavar="N", help="take at most N images")
    several = parser.add_argument_group("several sequences or runs")
    several.add_argument(
        "--benchmark",
        type=one_of(BENCHMARKS),
        metavar=shown(BENCHMARKS),
        help="infer a benchmark's sequences, and lay the errors beside published ones",
    )
    several.add_argument(
        "--runs",
        type=place,
        nargs="+",
        metavar="FOLDER",
        help="output folders of infer, or folders of such (evaluate)",
    )
    drift = parser.add_argument_group("the relative error (evaluate)")
    drift.add_argument(
        "--rpe-delta", type=positive_number, default=1.0, metavar="N", help="over N units (default: 1)"
    )
    drift.add_argument("--rpe-unit", type=one_of(STEP_UNITS), metavar=shown(STEP_UNITS), default="frames")
    drift.add_argument("--rpe-all-pairs", action="store_true", help="begin a step at every pose")


def positive_number(text: str) -> float:
    """A number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return value


def choice_of(arguments: argparse.Namespace) -> Choice:
    """Which frames the command line asks for; ``--stereo`` and ``--depth`` are options of the engine."""
    from slam.dataset.sequence import Choice

    stereo, depth = (getattr(arguments, option, False) for option in ("stereo", "depth"))
    if stereo and depth:
        raise UsageError("--stereo and --depth do not go together; leave one of them out")
    return Choice(
        mode="stereo" if stereo else "rgbd" if depth else "mono",
        stride=arguments.stride,
        t0=arguments.t0,
        max_frames=arguments.max_frames,
        max_image_size=arguments.max_image_size,
        as_taken=arguments.engine == "colmap",
    )


def alignment_of(arguments: argparse.Namespace, recorded: Mapping[str, object] | None = None) -> str:
    """What ``--align`` says; else, as in DROID-SLAM's scripts, ``se3`` where depth gives the scale.

    ``recorded`` are the arguments of the run that is compared, where that is another one than this.
    """
    chosen: str | None = arguments.align
    has_depth = getattr(arguments, "depth", False) or (recorded or {}).get("depth") is True
    return chosen or ("se3" if has_depth else "sim3")


def changed_options(recorded: Mapping[str, object]) -> tuple[str, ...]:
    """The options that make a run another one than a benchmark's, by the arguments in its summary."""
    usual: dict[str, tuple[object, ...]] = {
        "engine": (None, "droid"),
        "stride": (None,),
        "t0": (None, 0),
        "max_frames": (None,),
        "max_image_size": (None,),
        "stereo": (None, False),
        "depth": (None, False),
    }
    options = (
        f"--{name.replace('_', '-')}" for name, values in usual.items() if recorded.get(name) not in values
    )
    return tuple(options)
