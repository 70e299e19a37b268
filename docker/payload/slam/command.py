"""The command line: arguments in, an exit code out."""

from __future__ import annotations

import argparse
import io
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from slam.arguments import (
    TASKS,
    build_parser,
    choice_of,
    comparison_of,
    drawing_of,
    options_of,
    require_own_options,
    step_of,
)
from slam.cpu import bind_threads, core_count, thread_limit
from slam.dataset.options import place_dataset
from slam.engine.catalog import require_engine
from slam.errors import MemoryShortError, SlamError, Stopped, UsageError
from slam.output.options import require_exports
from slam.selftest import selftest
from slam.train import command as training

if TYPE_CHECKING:
    from slam.dataset.sequence import Sequence


def main(argv: list[str] | None = None) -> int:
    """Run the program; 0 when it did what it was asked, else the error's exit code."""
    for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
        signal.signal(number, _stop)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="surrogateescape")  # names of files need not be Unicode
    try:
        if selftest.is_asked(argv):
            selftest.run(argv)
            return 0
        if training.is_training(argv):
            training.run(argv)
            return 0
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
    work = Inference(arguments=arguments, asked_threads=arguments.threads)
    arguments.threads = min(limit, arguments.threads or limit)
    bind_threads(arguments.threads)
    if arguments.task is None:
        raise UsageError(f"there is no task; name one of {', '.join(TASKS)} with --task")
    if arguments.out is None and arguments.task not in ("check", "lengths"):
        raise UsageError("there is no output folder; name one with --out")
    require_own_options(arguments)
    require_exports(arguments)
    place_dataset(arguments)
    # Not before the threads are bound, and not for --help: these import numpy and more.
    from slam import campaign

    if arguments.task == "infer":
        require_engine(arguments.engine, choice_of(arguments).mode, has_options=bool(arguments.engine_option))
    if arguments.task in ("check", "lengths"):
        _look(arguments)
    elif arguments.benchmark is not None:
        campaign.run_benchmark(arguments, work)
    elif arguments.task == "infer":
        _require_for_infer(arguments)
        campaign.infer(arguments, work)
    else:
        campaign.evaluate(arguments)


def _look(arguments: argparse.Namespace) -> None:
    """Look at sequences of a dataset, every image of them."""
    from slam.dataset.catalog import find_sequences
    from slam.task.check import check
    from slam.task.lengths import measure_lengths

    if arguments.dataset is None:
        raise UsageError(f"{arguments.task} needs a dataset; name one with --dataset")
    names = tuple(arguments.sequence or ())
    staged = find_sequences(arguments.data_root, arguments.dataset, names)
    top = arguments.data_root / Path(arguments.dataset).parts[0]
    choice = replace(choice_of(arguments), top=top, as_taken=True, stride=1)
    if arguments.task == "lengths":
        measure_lengths(staged, choice, arguments.out)
    else:
        check(staged, choice, comparison_of(arguments), arguments.out)


def _require_for_infer(arguments: argparse.Namespace) -> None:
    if arguments.dataset is None:
        raise UsageError("infer needs a dataset; name one with --dataset")
    if any((arguments.estimate, arguments.groundtruth, arguments.runs)):
        raise UsageError("--estimate, --groundtruth and --runs are for --task evaluate; leave them out")


@dataclass(frozen=True, kw_only=True)
class Inference:
    """Inferring one sequence as the command line has it, here or on another machine."""

    arguments: argparse.Namespace
    asked_threads: int | None

    def __call__(self, folder: Path, out: Path) -> None:
        """Infer the sequence in a folder."""
        _infer(self.arguments, folder, out, self.arguments.data_root)

    def at(self, root: Path, threads: int) -> Callable[[Path, Path], None]:
        """The same where data lie in ``root``, with at most so many threads."""
        own = min(threads, self.asked_threads or threads)
        arguments = argparse.Namespace(**{**vars(self.arguments), "threads": own})
        return lambda folder, out: _infer(arguments, folder, out, root)


def _infer(arguments: argparse.Namespace, folder: Path, out: Path, root: Path) -> None:
    """Infer one sequence, which lies below ``root``."""
    from slam.engine.estimate import Settings
    from slam.output import results
    from slam.output.options import exports_of
    from slam.task.infer import infer

    results.prepare_folder(out, results.NAMES)
    infer(
        _read_input(arguments, folder, root),
        Settings(
            threads=arguments.threads,
            seed=arguments.seed,
            max_image_size=arguments.max_image_size,
            options=options_of(arguments),
            exports=exports_of(arguments),
        ),
        comparison_of(arguments),
        step_of(arguments),
        drawing_of(arguments),
        engine=arguments.engine,
        out=out,
        source=folder.relative_to(root).as_posix(),
        arguments={name: _plain(value) for name, value in vars(arguments).items()},
    )


def _read_input(arguments: argparse.Namespace, folder: Path, root: Path) -> Sequence:
    """The images as the chosen engine takes them: as they are, or prepared for the network."""
    from slam.dataset.layout import open_sequence

    top = root / folder.relative_to(root).parts[0]
    return open_sequence(folder, replace(choice_of(arguments), top=top))


def _plain(value: object) -> object:
    """An argument as JSON can hold it."""
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    return str(value) if isinstance(value, Path) else value
