"""A training from the files that it reads to the files that it leaves, in one of its processes."""

from __future__ import annotations

import os
import signal
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from slam.errors import DeviceError, InputError, MemoryShortError, OutputError, Stopped
from slam.output import results
from slam.progress import say
from slam.train import checkpoint, record
from slam.train.artifacts import Artifacts
from slam.train.distributed import ProcessGroup, find_group, joined
from slam.train.options import Options, bind, require_same
from slam.train.preparation import Footage, prepare

_GRAPHS = "graph"


class Ear:
    """Hears signals: before the first step they end the program at once, later when a step is finished."""

    def __init__(self) -> None:
        self.number = 0
        self.patient = False

    def listen(self) -> None:
        """Hear from now on."""
        for number in (signal.SIGTERM, signal.SIGUSR1, signal.SIGINT):
            signal.signal(number, self._hear)

    def _hear(self, number: int, _frame: FrameType | None) -> None:
        if not self.patient:
            raise Stopped(number)
        self.number = number


@dataclass(frozen=True, kw_only=True)
class Start:
    """What the first process has found out: what to train on, and the checkpoint to go on from, if any."""

    footage: Footage
    source: Path | None = None
    state: Mapping[str, Any] | None = None


def train(options: Options, environment: Mapping[str, str], ear: Ear) -> None:
    """Train; called in each process.

    Raises:
        SlamError: something is not as it should be.
        Stopped: a signal asked for it, and all there is was saved.
    """
    from slam.engine.droid.upstream import find_upstream, upstream

    group = find_group(environment)
    root = find_upstream(environment)
    start = _open(options, environment, root, group.world) if group.leads else None
    with (
        _device(options, group) as device,
        upstream(root, options.device),
        joined(group, device=options.device),
    ):
        shared = group.share(start)
        assert shared is not None  # noqa: S101 - the first process has it
        _train(options, group, device, shared, ear)


def _open(options: Options, environment: Mapping[str, str], root: Path, world: int) -> Start:
    """Find the data and the checkpoint, and make the output folder ready."""
    from slam.train.droidnet import list_test_scenes

    out = options.out
    previous = Path(environment["SLIPWAY_PREVIOUS"]) if environment.get("SLIPWAY_PREVIOUS") else None
    resume = options.resume
    if resume is None and checkpoint.find(out / checkpoint.FOLDER):
        raise InputError(
            f"{out} holds the checkpoints of a training; go on with --resume {out}, or name another folder "
            "with --out"
        )
    results.prepare_folder(out, (record.SUMMARY, record.FIGURE))
    earlier = [place for place in (previous, resume and _home(resume)) if place]
    caches = [options.graph_cache or out / _GRAPHS, *(place / _GRAPHS for place in earlier)]
    footage = prepare(options, reserved=list_test_scenes(root), caches=caches)
    chosen = checkpoint.choose(resume, previous)
    if chosen is None:
        if previous is not None:
            say(f"resume     the last attempt left no checkpoint in {previous}; the training begins anew")
        return Start(footage=footage)
    path, state = chosen
    require_same(state["options"], bind(options, world, footage.fingerprint), path)
    checkpoint.require_newest(path, out / checkpoint.FOLDER)
    record.carry(_home(path), out)
    source = checkpoint.carry(path, out / checkpoint.FOLDER)
    return Start(footage=footage, source=source, state=state)


def _home(path: Path) -> Path:
    """The output folder that a checkpoint, or a folder of them, belongs to."""
    folder = path if path.is_dir() else path.parent
    return folder.parent if folder.name == checkpoint.FOLDER else folder


@contextmanager
def _device(options: Options, group: ProcessGroup) -> Iterator[Any]:
    """This process's device; that its memory is used up is told with what uses it."""
    import torch

    warnings.filterwarnings("ignore", "torch.meshgrid", UserWarning)  # upstream's
    torch.set_num_threads(options.threads)
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
    if options.device == "cuda":
        if group.local >= torch.cuda.device_count():
            raise DeviceError(
                f"process {group.local} of this machine has no GPU; start one process for each GPU"
            )
        torch.cuda.set_device(group.local)
    try:
        yield torch.device(options.device, group.local) if options.device == "cuda" else torch.device("cpu")
    except torch.OutOfMemoryError as error:
        size = " ".join(map(str, options.crop))
        raise MemoryShortError(
            f"the GPU's memory does not suffice; lower --batch (now {options.batch}), --n_frames "
            f"({options.n_frames}), --edges ({options.edges}), --iters ({options.iters}) or --crop ({size}), "
            "or ask for a GPU with more"
        ) from error


def _train(options: Options, group: ProcessGroup, device: Any, start: Start, ear: Ear) -> None:
    from slam.train.droidnet import DroidLearner, make_augment
    from slam.train.loop import Training
    from slam.train.samples import Draws, Feed, Samples

    training = Training(DroidLearner(options, device), options, group)
    samples = Samples(start.footage, options, make_augment(options))
    draws = Draws(len(samples), batch=options.batch, rank=group.rank, world=group.world, seed=options.seed)
    feed = Feed(samples, draws, workers=options.workers, pin=options.device == "cuda")
    try:
        run(training, feed, start, ear)
    except RuntimeError:
        feed.require_processes()
        raise


def _restore(training: Any, start: Start) -> None:
    try:
        training.restore(start.state)
    except (RuntimeError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(
            f"{start.source}: it is of another network ({reason}); was the image of another fork then?"
        ) from error


def run(training: Any, feed: Any, start: Start, ear: Ear) -> None:
    """Go on from a checkpoint where there is one, make the steps, and keep what comes of them."""
    group = training.group
    dataset = start.footage.fingerprint
    if start.state is not None:
        _restore(training, start)
    artifacts = Artifacts(training, dataset, start.footage, start.source)
    if group.leads:
        artifacts.begin()
    ear.patient = True
    try:
        training.run(feed, stopping=lambda: ear.number, done=artifacts.take)
    except BaseException:
        with suppress(OutputError):
            artifacts.record.close()
        raise
    artifacts.record.close()
    if group.leads:
        artifacts.conclude(finished=True)
    group.wait()
