"""What a training is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from slam.errors import InputError

# How a dataset lies on disk; ``auto`` looks which files there are.
LAYOUTS = ("auto", "tartanair", "footage")
# What the losses depend on: a training that goes on must be asked for the same.
BINDING = (
    "batch", "iters", "steps", "lr", "clip", "n_frames", "edges", "w1", "w2", "w3", "fmin", "fmax",
    "restart_prob", "crop", "seed", "freeze", "device",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Options:
    """The options of a training; those up to ``restart_prob`` have upstream's names and defaults.

    ``crop`` is the height and width, in pixels, that all images are brought to. ``fmin`` and ``fmax`` bound
    the mean optical flow, in pixels, between a frame of a sample and the next. ``clip`` is the largest norm
    of the gradient. ``depth_scale`` is what a 16-bit depth of one metre is. ``w1``, ``w2`` and ``w3`` weigh
    the losses of the poses, the residuals and the flow.
    """

    data: Path
    out: Path
    name: str = "droid"
    ckpt: Path | None = None
    resume: Path | None = None
    batch: int = 1
    iters: int = 15
    steps: int = 250_000
    lr: float = 0.00025
    clip: float = 2.5
    n_frames: int = 7
    w1: float = 10.0
    w2: float = 0.01
    w3: float = 0.05
    fmin: float = 8.0
    fmax: float = 96.0
    edges: int = 24
    restart_prob: float = 0.2
    crop: tuple[int, int] = (384, 512)
    seed: int = 0
    freeze: tuple[str, ...] = ()
    layout: str = "auto"
    scenes: tuple[str, ...] = ()
    holdout: tuple[str, ...] = ()
    depth_scale: float | None = None
    graph_cache: Path | None = None
    device: str = "cuda"
    gpus: int | None = None
    workers: int = 2
    threads: int = 1
    save_every: int = 1000
    keep: int = 3
    log_every: int = 100
    deterministic: bool = False

    def summarize(self) -> dict[str, object]:
        """All options as ``summary.json`` shows them."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: str(value) if isinstance(value, Path) else value for name, value in values.items()}


def bind(options: Options, processes: int, dataset: str) -> dict[str, object]:
    """What must be the same when a training goes on, as it is kept in a checkpoint.

    Args:
        options: what is asked.
        processes: how many train together; each has a share of every epoch.
        dataset: its fingerprint.
    """
    values = asdict(options)
    bound = {name: list(value) if isinstance(value := values[name], tuple) else value for name in BINDING}
    return {**bound, "processes": processes, "dataset": dataset}


def require_same(then: Mapping[str, object], now: Mapping[str, object], checkpoint: Path) -> None:
    """Make sure that a training can go on exactly.

    Raises:
        InputError: something that the losses depend on is another than it was; the message names it.
    """
    changed = [
        f"{name} {then.get(name)!r} then, {now[name]!r} now" for name in now if then.get(name) != now[name]
    ]
    if changed:
        raise InputError(
            f"{checkpoint}: this training cannot go on from it: {'; '.join(changed)}. Ask for the same as "
            f"then, or begin a new training from its weights with --ckpt {checkpoint.with_suffix('.pth')}"
        )
