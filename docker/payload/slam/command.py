"""The command line: arguments in, an exit code out."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from slam import selftest
from slam.cpu import bind_threads, core_count, thread_limit
from slam.errors import MemoryShortError, SlamError, Stopped, UsageError
from slam.grammar import TASKS, build_parser


def main(argv: list[str] | None = None) -> int:
    """Run the program; 0 when it did what it was asked, else the error's exit code."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, _stop)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files need not be Unicode
    try:
        if selftest.is_asked(argv):
            selftest.run(argv)
        else:
            _run(build_parser(os.environ).read(argv))
    except SlamError as error:
        return _tell(str(error), error.exit_code)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _tell(f"{where}{error.strerror or error}", SlamError.exit_code)
    except MemoryError:
        return _tell("there was not enough memory; ask for more (--mem)", MemoryShortError.exit_code)
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
    # Names of files may hold anything, and a message is one line.
    line = "".join(one if one.isprintable() else one.encode("unicode_escape").decode() for one in message)
    print(f"slam: {line}", file=sys.stderr, flush=True)
    return exit_code


def _run(arguments: argparse.Namespace) -> None:
    limit = thread_limit(os.environ, core_count())
    arguments.threads = min(limit, arguments.threads or limit)
    bind_threads(arguments.threads)
    if arguments.task is None:
        raise UsageError(f"there is no task; name one of {', '.join(TASKS)} with --task")
    if arguments.out is None:
        raise UsageError("there is no output folder; name one with --out")
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
        raise UsageError("infer needs a dataset; name one with --dataset")
    if arguments.estimate is not None or arguments.groundtruth is not None:
        raise UsageError("--estimate and --groundtruth are for --task evaluate; leave them out")
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
        raise UsageError("evaluate needs a trajectory; name one with --estimate")
    groundtruth = arguments.groundtruth
    if groundtruth is None and arguments.dataset is None:
        raise UsageError("evaluate needs a ground truth; name one with --groundtruth or --dataset")
    if groundtruth is None:
        folder = find_folder(arguments.data_root, arguments.dataset, arguments.sequence)
        groundtruth = folder / GROUND_TRUTH
    output.prepare_folder(arguments.out, (output.ATE, output.FIGURE))
    comparison = Comparison(alignment=arguments.align, max_difference_s=arguments.max_difference)
    task.evaluate(arguments.estimate, groundtruth, comparison, out=arguments.out)
