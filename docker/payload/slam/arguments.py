"""The program's options, and what they ask for."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from slam.dataset import options as dataset
from slam.engine.catalog import ENGINES, ENTRIES, engine_name, find_engine, is_folder
from slam.engine.colmap import options as colmap
from slam.engine.droid import options as droid
from slam.errors import UsageError
from slam.evaluate import options as evaluate
from slam.grammar import Parser, given, one_of, pair, place, positive, shown, whole
from slam.output import options as output
from slam.output.figure import options as figure

if TYPE_CHECKING:
    from slam.dataset.sequence import Choice
    from slam.evaluate.absolute import Comparison
    from slam.evaluate.relative import Step
    from slam.output.figure.style import Drawing

TASKS = ("infer", "evaluate", "train", "check", "lengths")


def build_parser(environment: Mapping[str, str]) -> Parser:
    """The command line's grammar."""
    parser = Parser(prog="slam", description=sys.modules["slam"].__doc__)
    parser.add_argument("--task", type=one_of(TASKS), metavar=shown(TASKS), help="what to do")
    parser.add_argument(
        "--engine",
        type=engine_name,
        metavar=shown((*ENGINES, "./FOLDER")),
        default=environment.get("SLAM_ENGINE") or "colmap",
        help="what infers: one of these, or an engine.py of your own in a folder (default: the image's own)",
    )
    parser.add_argument(
        "--out",
        type=place,
        default=Path(environment["SLIPWAY_OUT"]) if environment.get("SLIPWAY_OUT") else None,
        metavar="FOLDER",
        help="where results go (default: $SLIPWAY_OUT)",
    )
    work = parser.add_argument_group("infer")
    work.add_argument("--threads", type=positive, metavar="N", help="fewer than the job was given")
    work.add_argument("--seed", type=whole(0), default=0, metavar="N")
    work.add_argument(
        "--engine-option",
        type=pair,
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="for an engine of your own; may be given several times",
    )
    for part in (dataset, evaluate, colmap, droid, output, figure):
        part.add_arguments(parser)
    return parser


def choice_of(arguments: argparse.Namespace) -> Choice:
    """Which frames the command line asks for; ``--stereo`` and ``--depth`` are options of the engine."""
    from slam.dataset.sequence import Choice

    stereo, depth = (getattr(arguments, option, False) for option in ("stereo", "depth"))
    if stereo and depth:
        raise UsageError("--stereo and --depth do not go together; leave one of them out")
    if None not in (arguments.start, arguments.end) and arguments.end <= arguments.start:
        raise UsageError(f"--end {arguments.end:g} s is not after --start {arguments.start:g} s")
    return Choice(
        mode="stereo" if stereo else "rgbd" if depth else "mono",
        stride=arguments.stride,
        t0=arguments.t0,
        max_frames=arguments.max_frames,
        start_s=arguments.start,
        end_s=arguments.end,
        topic=arguments.topic,
        truth_topic=arguments.groundtruth_topic,
        max_image_size=arguments.max_image_size,
        is_strict=arguments.strict,
        as_taken=find_engine(arguments.engine).reads_files,
    )


def options_of(arguments: argparse.Namespace) -> dict[str, object]:
    """The chosen engine's options that were on the command line."""
    if is_folder(arguments.engine):
        return dict(arguments.engine_option)
    options = find_engine(arguments.engine).options
    return given(arguments, options) if options else {}


def require_own_options(arguments: argparse.Namespace) -> None:
    """Make sure that all engine options on the command line are those of the engine that works, if one does.

    Raises:
        UsageError: one is another engine's, or no engine works.
    """
    infers = arguments.task == "infer" or (arguments.benchmark is not None and not arguments.runs)
    own = ENTRIES[arguments.engine].options if infers and not is_folder(arguments.engine) else None
    known = given(arguments, own) if own else {}
    for engine, entry in ENTRIES.items():
        others = given(arguments, entry.options) if entry.options else {}
        name = next((name for name in others if name not in known), None)
        if name is None:
            continue
        option = build_parser({}).written(name)
        if not infers:
            raise UsageError(f"{option} is an option of {engine} for --task infer; leave it out")
        raise UsageError(
            f"{option} is an option of {engine}; the engine is {arguments.engine}, so leave it out, or add "
            f"--engine {engine}"
        )


def step_of(arguments: argparse.Namespace) -> Step:
    """Over what relative errors are measured."""
    from slam.evaluate.relative import Step

    return Step(delta=arguments.rpe_delta, unit=arguments.rpe_unit, all_pairs=arguments.rpe_all_pairs)


def drawing_of(arguments: argparse.Namespace) -> Drawing:
    """What is asked of figures."""
    from slam.output.figure.style import Drawing

    return Drawing(formats=arguments.figure_format, width=arguments.figure_width, up=arguments.up)


def alignment_of(arguments: argparse.Namespace, recorded: Mapping[str, object] | None = None) -> str:
    """What ``--align`` says; else, as in DROID-SLAM's scripts, ``se3`` where depth gives the scale.

    ``recorded`` are the arguments of the run that is compared, where that is another one than this.
    """
    chosen: str | None = arguments.align
    has_depth = getattr(arguments, "depth", False) or (recorded or {}).get("depth") is True
    return chosen or ("se3" if has_depth else "sim3")


def comparison_of(arguments: argparse.Namespace, recorded: Mapping[str, object] | None = None) -> Comparison:
    """How the command line wants an estimate compared; ``recorded`` as for :func:`alignment_of`."""
    from slam.evaluate.absolute import Comparison

    return Comparison(
        alignment=alignment_of(arguments, recorded),
        max_difference_s=arguments.max_difference,
        time_offset_s=arguments.time_offset,
        frame=arguments.frame,
        is_strict=arguments.strict,
        estimate_topic=arguments.estimate_topic,
        truth_topic=arguments.groundtruth_topic,
        is_required=arguments.require_groundtruth,
    )


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
