"""The command line: arguments in, an exit code out."""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import NoReturn

from slam.cpu import bind_threads, core_count, thread_limit
from slam.errors import InputError, SlamError, Stopped

ENGINES = ("colmap",)
ALIGNMENTS = ("sim3", "se3", "none")


class Parser(argparse.ArgumentParser):
    """Tells a wrong command line in one line, as all other errors are told."""

    def error(self, message: str) -> NoReturn:
        """Raise what argparse would print.

        Raises:
            InputError: always.
        """
        raise InputError(f"{message}; see python3 -m slam --help")


def positive(text: str) -> int:
    """A whole number from 1 on."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 on")
    return int(text)


def seconds(text: str) -> float:
    """A length of time, 0 or more."""
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds")
    return value


def build_parser(environment: Mapping[str, str]) -> Parser:
    """The command line's grammar."""
    parser = Parser(prog="slam", description=sys.modules["slam"].__doc__)
    parser.add_argument("--task", required=True, choices=("infer", "evaluate"))
    parser.add_argument("--engine", choices=ENGINES, default="colmap", help="what infers (default: colmap)")
    parser.add_argument("--dataset", metavar="NAME", help="a folder in the data root")
    parser.add_argument("--sequence", metavar="NAME", help="a folder in the dataset")
    parser.add_argument("--data-root", type=Path, default=Path("/data"), metavar="FOLDER")
    parser.add_argument(
        "--out",
        type=Path,
        default=Path(environment["SLIPWAY_OUT"]) if environment.get("SLIPWAY_OUT") else None,
        metavar="FOLDER",
        help="where results go (default: $SLIPWAY_OUT)",
    )
    images = parser.add_argument_group("infer")
    images.add_argument("--stride", type=positive, default=1, metavar="N", help="take every N-th image")
    images.add_argument("--max-frames", type=positive, metavar="N", help="take at most N images")
    images.add_argument("--matcher", choices=("auto", "sequential", "exhaustive"), default="auto")
    images.add_argument(
        "--max-image-size",
        type=positive,
        metavar="PIXELS",
        help="look for features in images whose longer side is at most this (default: as they are)",
    )
    images.add_argument("--threads", type=positive, metavar="N", help="fewer than the job was given")
    images.add_argument("--seed", type=int, default=0)
    compared = parser.add_argument_group("evaluate, and infer where there is ground truth")
    compared.add_argument("--estimate", type=Path, metavar="FILE", help="trajectory in TUM format (evaluate)")
    compared.add_argument(
        "--groundtruth", type=Path, metavar="FILE", help="trajectory in TUM format (default: the dataset's)"
    )
    compared.add_argument("--align", choices=ALIGNMENTS, default="sim3")
    compared.add_argument(
        "--max-difference",
        type=seconds,
        default=0.01,
        metavar="S",
        help="how far apart two timestamps of one moment may be (default: 0.01 s)",
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the program; 0 when it did what it was asked, else the error's exit code."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, _stop)
    try:
        _run(build_parser(os.environ).parse_args(argv))
    except SlamError as error:
        return _tell(str(error), error.exit_code)
    except OSError as error:
        return _tell(str(error), SlamError.exit_code)
    except ImportError as error:
        return _tell(f"{error}; this environment has no libraries for that", SlamError.exit_code)
    except Stopped as stop:
        _tell(str(stop), stop.exit_code)
        sys.stdout.flush()
        # A thread may be deep in a C++ library, which would keep the interpreter from ending.
        os._exit(stop.exit_code)
    return 0


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


def _tell(message: str, exit_code: int) -> int:
    print(f"slam: {message}", file=sys.stderr, flush=True)
    return exit_code


def _run(arguments: argparse.Namespace) -> None:
    limit = thread_limit(os.environ, core_count())
    arguments.threads = min(limit, arguments.threads or limit)
    bind_threads(arguments.threads)
    if arguments.out is None:
        raise InputError("there is no output folder; name one with --out")
    if arguments.task == "infer":
        _infer(arguments)
    else:
        _evaluate(arguments)


def _infer(arguments: argparse.Namespace) -> None:
    # Not before the threads are bound, and not for --help: these import numpy and more.
    from slam import output, task
    from slam.estimate import Settings
    from slam.evaluation import Comparison
    from slam.sequence import find_folder, read_sequence

    if arguments.dataset is None:
        raise InputError("infer needs a dataset; name one with --dataset")
    if arguments.estimate is not None or arguments.groundtruth is not None:
        raise InputError("--estimate and --groundtruth are for --task evaluate; leave them out")
    folder = find_folder(arguments.data_root, arguments.dataset, arguments.sequence)
    output.prepare_folder(arguments.out, output.NAMES)
    task.infer(
        read_sequence(folder, stride=arguments.stride, max_frames=arguments.max_frames),
        Settings(
            threads=arguments.threads,
            seed=arguments.seed,
            matcher=arguments.matcher,
            max_image_size=arguments.max_image_size,
        ),
        Comparison(alignment=arguments.align, max_difference_s=arguments.max_difference),
        engine=arguments.engine,
        out=arguments.out,
        arguments={
            name: str(value) if isinstance(value, Path) else value for name, value in vars(arguments).items()
        },
    )


def _evaluate(arguments: argparse.Namespace) -> None:
    from slam import output, task
    from slam.evaluation import Comparison
    from slam.sequence import GROUND_TRUTH, find_folder

    if arguments.estimate is None:
        raise InputError("evaluate needs a trajectory; name one with --estimate")
    groundtruth = arguments.groundtruth
    if groundtruth is None and arguments.dataset is None:
        raise InputError("evaluate needs a ground truth; name one with --groundtruth or --dataset")
    if groundtruth is None:
        folder = find_folder(arguments.data_root, arguments.dataset, arguments.sequence)
        groundtruth = folder / GROUND_TRUTH
    output.prepare_folder(arguments.out, (output.ATE, output.FIGURE))
    comparison = Comparison(alignment=arguments.align, max_difference_s=arguments.max_difference)
    task.evaluate(arguments.estimate, groundtruth, comparison, out=arguments.out)
