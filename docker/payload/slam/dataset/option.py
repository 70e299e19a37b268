"""The part of the command line that says which sequences are read and how, and which runs are compared."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING

from slam.grammar import name, one_of, place, shown, whole

if TYPE_CHECKING:
    from slam.dataset.shot import Choice

BENCHMARKS = ("tum",)
STEP_UNITS = ("frames", "meters", "degrees", "radians", "seconds")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to the command line's grammar."""
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
    from slam.dataset.shot import Choice
    from slam.errors import UsageError

    stereo, depth = (getattr(arguments, option, False) for option in ("stereo", "depth"))
    if stereo and depth:
        raise UsageError("--stereo and --depth do not go together; leave one of them out")
    return Choice(
        mode="stereo" if stereo else "rgbd" if depth else "mono",
        stride=arguments.stride,
        t0=arguments.t0,
        max_frames=arguments.max_frames,
        max_image_size=arguments.max_image_size,
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
