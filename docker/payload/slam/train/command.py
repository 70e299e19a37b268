"""The command line of ``--task train``."""

from __future__ import annotations

import argparse
import math
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from slam.cpu import bind_threads, core_count, thread_limit
from slam.errors import UsageError
from slam.grammar import Parser, name, one_of, place, positive, shown, whole
from slam.progress import say
from slam.train.options import LAYOUTS, Options

# The network halves an image seven times.
_LEAST_SIDE = 128
_DEVICES = ("cuda", "cpu")
# Upstream's train.py takes them and does nothing with them.
_WITHOUT_EFFECT = ("noise", "scale")


def is_training(argv: list[str] | None) -> bool:
    """True for a command line that says ``--task train``."""
    finder = argparse.ArgumentParser(add_help=False)
    finder.add_argument("--task", nargs="?")
    return bool(finder.parse_known_args(sys.argv[1:] if argv is None else argv)[0].task == "train")


def run(argv: list[str] | None) -> None:
    """Train as a command line asks.

    Raises:
        SlamError: what is asked cannot be done.
        Stopped: a signal asked for it.
    """
    options = read_options(argv, os.environ)
    bind_threads(options.threads)
    from slam.train.distributed import is_worker
    from slam.train.launch import launch
    from slam.train.topology import count_processes, find_topology

    if options.device == "cpu":
        say("device     cpu: all the steps of a training, but hundreds of times slower than on a GPU")
    if is_worker(os.environ):
        from slam.train.session import Ear, train

        ear = Ear()
        ear.listen()
        train(options, os.environ, ear)
        return
    processes = count_processes(os.environ, options.gpus, device=options.device)
    launch(options, find_topology(os.environ, processes), os.environ)


def read_options(argv: list[str] | None, environment: Mapping[str, str]) -> Options:
    """Read a command line.

    Raises:
        UsageError: it is not one of this grammar.
    """
    arguments = build_parser(environment).read(argv)
    values = vars(arguments)
    for flag in _WITHOUT_EFFECT:
        if values.pop(flag):
            say(f"option     --{flag} has no effect: upstream's training takes it and does nothing with it")
    data, dataset, root = values.pop("datapath"), values.pop("dataset"), values.pop("data_root")
    if (data is None) == (dataset is None):
        raise UsageError(
            "train needs a dataset; name its folder in /data with --dataset, or any with --datapath"
        )
    if values["out"] is None:
        raise UsageError("there is no output folder; name one with --out")
    values.pop("task")
    limit = thread_limit(environment, core_count())
    values["threads"] = min(limit, values["threads"] or limit)
    for several in ("crop", "freeze", "scenes", "holdout"):
        values[several] = tuple(values[several])
    return Options(data=data or root / dataset, **values)


def number(least: float, below: float = math.inf) -> Callable[[str], float]:
    """A number from ``least`` on and less than ``below``."""

    def check(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not least <= value < below:
            bound = "" if below == math.inf else f" and less than {below:g}"
            raise argparse.ArgumentTypeError(f"{text!r} is not a number from {least:g} on{bound}")
        return value

    return check


def side(text: str) -> int:
    """A height or width that the network can take."""
    if not text.isdecimal() or int(text) % 8 or int(text) < _LEAST_SIDE:
        raise argparse.ArgumentTypeError(f"{text!r} is not a multiple of 8 from {_LEAST_SIDE} on, in pixels")
    return int(text)


def build_parser(environment: Mapping[str, str]) -> Parser:
    """The grammar of a training's command line."""
    parser = Parser(prog="slam --task train", description=sys.modules["slam.train"].__doc__)
    parser.add_argument("--task", required=True)
    _add_places(parser, environment)
    _add_upstream(parser)
    _add_own(parser)
    return parser


def _add_places(parser: Parser, environment: Mapping[str, str]) -> None:
    out = environment.get("SLIPWAY_OUT")
    group = parser.add_argument_group("what to train on")
    group.add_argument("--dataset", type=name, metavar="NAME", help="a folder in the data root")
    group.add_argument("--datapath", type=place, metavar="FOLDER", help="a dataset's folder anywhere")
    group.add_argument("--data-root", type=place, default=Path("/data"), metavar="FOLDER")
    group.add_argument("--layout", type=one_of(LAYOUTS), metavar=shown(LAYOUTS), default="auto")
    group.add_argument(
        "--scenes", nargs="+", default=[], metavar="NAME", help="only scenes with one of these names"
    )
    group.add_argument(
        "--holdout", nargs="+", default=[], metavar="NAME", help="no scenes with one of these names"
    )
    group.add_argument(
        "--depth-scale", type=number(1e-6), metavar="N", help="what one metre is in 16-bit depths"
    )
    group.add_argument("--out", type=place, default=Path(out) if out else None, metavar="FOLDER")
    group.add_argument(
        "--graph-cache", type=place, metavar="FOLDER", help="where checked scenes are remembered"
    )


def _add_upstream(parser: Parser) -> None:
    group = parser.add_argument_group("upstream's options, with its names and defaults")
    default = Options(data=Path(), out=Path())
    for flag, kind, words in (
        ("name", name, "what checkpoints are called"),
        ("ckpt", place, "weights to begin from"),
        ("batch", positive, "samples in a step, for each process"),
        ("iters", positive, "updates of the network in a pass"),
        ("steps", whole(3), "steps of the whole training"),
        ("lr", number(1e-12), "highest rate of learning"),
        ("clip", number(1e-12), "largest norm of the gradient"),
        ("n_frames", whole(3), "frames in a sample"),
        ("w1", number(0), "weight of the poses' loss"),
        ("w2", number(0), "weight of the residuals' loss"),
        ("w3", number(0), "weight of the flow's loss"),
        ("fmin", number(0), "least flow between frames of a sample, in pixels"),
        ("fmax", number(0), "most flow between frames of a sample, in pixels"),
        ("edges", positive, "edges of a frame graph"),
        ("restart_prob", number(0, 1), "how often a pass goes on from where the last one got to"),
        ("gpus", positive, "processes on each machine (default: one for each of the job's GPUs)"),
    ):
        # Their types differ, which a list of tuples cannot say.
        names = sorted({f"--{flag}", f"--{flag.replace('_', '-')}"}, reverse=True)
        group.add_argument(
            *names, dest=flag, type=kind, default=getattr(default, flag), metavar="X", help=words
        )
    for flag in _WITHOUT_EFFECT:
        group.add_argument(f"--{flag}", action="store_true", help="without effect, as upstream")


def _add_own(parser: Parser) -> None:
    group = parser.add_argument_group("how to train")
    default = Options(data=Path(), out=Path())
    group.add_argument(
        "--resume", type=place, metavar="PATH", help="a checkpoint, or the output of a training"
    )
    group.add_argument("--save-every", type=positive, default=default.save_every, metavar="STEPS")
    group.add_argument(
        "--keep", type=positive, default=default.keep, metavar="N", help="the newest N checkpoints"
    )
    group.add_argument("--log-every", type=positive, default=default.log_every, metavar="STEPS")
    group.add_argument("--crop", type=side, nargs=2, default=default.crop, metavar=("HEIGHT", "WIDTH"))
    group.add_argument(
        "--freeze", nargs="+", default=[], metavar="PREFIX", help="parameters to leave as they are"
    )
    group.add_argument("--seed", type=whole(0), default=default.seed, metavar="N")
    group.add_argument(
        "--workers", type=whole(0), default=default.workers, metavar="N", help="loading processes"
    )
    group.add_argument("--threads", type=positive, metavar="N", help="fewer than the job was given")
    group.add_argument("--device", type=one_of(_DEVICES), metavar=shown(_DEVICES), default=default.device)
    group.add_argument(
        "--deterministic", action="store_true", help="the same numbers again on a GPU, but slower"
    )
