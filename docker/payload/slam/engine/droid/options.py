"""DROID-SLAM's own settings, by their names and with their defaults there."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from slam.errors import InputError, UsageError
from slam.grammar import one_of, place, positive, shown, whole

DEVICES = ("cuda", "cpu")
WEIGHTS = Path("/weights/droid.pth")


@dataclass(frozen=True, kw_only=True)
class Options:
    """How DROID-SLAM works on a stream.

    From ``beta`` to ``motion_damping`` they are upstream's, thresholds in pixels of the images at an eighth
    of their size, the rest in keyframes. ``buffer`` is how many keyframes there is memory for at first;
    ``None`` takes what the stream's length and the memory suggest. ``filter_threshold`` and ``filter_count``
    are those of upstream's viewer: a point is kept whose depth is found again within the threshold, in the
    reconstruction's unit, in so many neighbouring keyframes.
    """

    beta: float = 0.3
    filter_thresh: float = 2.4
    warmup: int = 8
    keyframe_thresh: float = 4.0
    frontend_thresh: float = 16.0
    frontend_window: int = 25
    frontend_radius: int = 2
    frontend_nms: int = 1
    backend_thresh: float = 22.0
    backend_radius: int = 2
    backend_nms: int = 3
    motion_damping: float = 0.0
    buffer: int | None = None
    asynchronous: bool = False
    frontend_device: str = "cuda"
    backend_device: str = "cuda"
    device: str = "cuda"
    weights: Path = WEIGHTS
    random_weights: bool = False
    pth: bool = False
    filter_threshold: float = 0.005
    filter_count: int = 2


_TUNING = {
    "beta": "weight of the whole motion, beside its translation alone, in the distance of two frames",
    "filter_thresh": "flow that makes a frame a keyframe",
    "warmup": "keyframes before the first adjustment",
    "keyframe_thresh": "flow below which a keyframe is taken back",
    "frontend_thresh": "distance up to which frames are tied together at first",
    "frontend_window": "keyframes that are adjusted at first",
    "frontend_radius": "neighbours that are always tied together at first",
    "frontend_nms": "ties left out around a tie at first",
    "backend_thresh": "the same distance, at the end",
    "backend_radius": "the same neighbours, at the end",
    "backend_nms": "the same ties, at the end",
    "motion_damping": "how much of the last motion is expected to go on",
}
_AT_LEAST = {
    # With less, upstream's first update counts back past the first keyframe.
    "warmup": 4,
    "frontend_window": 3,
    "frontend_radius": 1,
    "frontend_nms": 0,
    "backend_radius": 1,
    "backend_nms": 0,
}
# On where the camera was; they say where memory is taken, and what is written beside the trajectory.
_WITHOUT_EFFECT = frozenset(
    {"buffer", "frontend_device", "backend_device", "pth", "filter_threshold", "filter_count"}
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add DROID-SLAM's options; none has a default, so that what was not asked for can be a dataset's."""
    group = parser.add_argument_group("infer with --engine droid", argument_default=argparse.SUPPRESS)
    group.add_argument(
        "--device", type=one_of(DEVICES), metavar=shown(DEVICES), help="what computes (default: cuda)"
    )
    group.add_argument(
        "--weights", type=place, metavar="FILE", help=f"the trained network (default: {WEIGHTS})"
    )
    group.add_argument("--random-weights", action="store_true", help="an untrained network, for trying a job")
    group.add_argument("--buffer", type=positive, metavar="N", help="keyframes to have memory for at first")
    group.add_argument("--asynchronous", action="store_true", help="adjust all keyframes in a second process")
    for name in ("frontend_device", "backend_device"):
        group.add_argument(f"--{name}", type=_cuda, metavar="DEVICE", help="such as cuda:1 (asynchronous)")
    group.add_argument("--pth", action="store_true", help="write the keyframes for upstream's viewer as well")
    group.add_argument("--filter_threshold", type=number, metavar="D", help="of the cloud (default: 0.005)")
    group.add_argument("--filter_count", type=whole(0), metavar="N", help="of the cloud (default: 2)")
    for name, meaning in _TUNING.items():
        default = getattr(Options(), name)
        check: Callable[[str], object] = whole(_AT_LEAST[name]) if name in _AT_LEAST else number
        group.add_argument(
            f"--{name}", type=check, metavar="N", help=f"{meaning} (default: {default}, or the dataset's)"
        )
    group.add_argument("--stereo", action="store_true", help="use both images, where a dataset has two")
    group.add_argument("--depth", action="store_true", help="use depth images, where a dataset has them")
    for name in ("--disable_vis", "--save_headless", "--upsample"):
        group.add_argument(name, action="store_true", help="always so; taken for compatibility")


def number(text: str) -> float:
    """Any finite number."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def _cuda(text: str) -> str:
    kind, _, index = text.partition(":")
    if kind != "cuda" or (text != kind and not index.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not `cuda` or `cuda:` and a number")
    return text


def choose(settings: Mapping[str, object], asked: Mapping[str, object]) -> Options:
    """Upstream's defaults, then what a dataset brings, then what was asked for.

    Without trained weights every frame becomes a keyframe unless something else was asked for: what an
    untrained network takes for flow says nothing.

    Raises:
        InputError: the dataset brings an option that is none.
        UsageError: two options exclude each other.
    """
    known = {field.name for field in fields(Options)}
    if unknown := sorted(set(settings) - known):
        raise InputError(f"the dataset asks for {', '.join(unknown)}, which DROID-SLAM does not have")
    options = _replace(Options(), settings)
    if asked.get("random_weights"):
        options = replace(options, filter_thresh=0.0, keyframe_thresh=0.0)
    options = _replace(options, asked)
    if options.random_weights and "weights" in asked:
        raise UsageError("--weights and --random-weights exclude each other; leave one of them out")
    if options.device == "cpu" and {"frontend_device", "backend_device"} & set(asked):
        raise UsageError("--frontend_device and --backend_device name GPUs; leave them out with --device cpu")
    return options


def _replace(options: Options, values: Mapping[str, Any]) -> Options:
    return replace(options, **values)


def describe(options: Options) -> dict[str, object]:
    """The options for ``summary.json``, without those that the others leave without a use."""
    unused = {"weights"} if options.random_weights else set()
    if not options.asynchronous or options.device == "cpu":
        unused |= {"frontend_device", "backend_device"}
    values = {name: value for name, value in vars(options).items() if name not in unused}
    return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def find_changes(settings: Mapping[str, object], recorded: Mapping[str, object]) -> tuple[str, ...]:
    """The options, as they are written, whose recorded values may make another trajectory.

    Another than that with the ``settings`` of a dataset and nothing else; ``recorded`` is of ``describe``.
    """
    usual = describe(choose(settings, {}))
    changed = [name for name, value in usual.items() if recorded.get(name, value) != value]
    written = {"random_weights": "--random-weights"}
    return tuple(written.get(name, f"--{name}") for name in changed if name not in _WITHOUT_EFFECT)
