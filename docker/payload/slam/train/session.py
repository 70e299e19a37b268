"""A training from the files that it reads to the files that it leaves, in one of its processes."""

from __future__ import annotations

import os
import platform
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from slam import output
from slam.errors import InputError, MemoryShortError, Stopped, UsageError
from slam.progress import say
from slam.train import checkpoint, record
from slam.train.crew import Crew, find_crew, joined
from slam.train.options import Options, require_same
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
    from slam.droid.upstream import find_upstream, upstream

    crew = find_crew(environment)
    root = find_upstream(environment)
    start = _open(options, environment, root) if crew.leads else None
    with (
        _device(options, crew) as device,
        upstream(root, options.device),
        joined(crew, device=options.device),
    ):
        shared = crew.share(start)
        assert shared is not None  # noqa: S101 - the first process has it
        _train(options, crew, device, shared, ear)


def _open(options: Options, environment: Mapping[str, str], root: Path) -> Start:
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
    output.prepare_folder(out, (record.SUMMARY, record.FIGURE))
    earlier = _home(resume) or previous
    caches = [options.graph_cache or out / _GRAPHS, *([earlier / _GRAPHS] if earlier else [])]
    footage = prepare(options, holdout=list_test_scenes(root), caches=caches)
    chosen = checkpoint.choose(resume, previous)
    if chosen is None:
        if previous is not None:
            say(f"resume     the last attempt left no checkpoint in {previous}; the training begins anew")
        return Start(footage=footage)
    path, state = chosen
    record.carry(_home(path) or path.parent, out)
    source = checkpoint.carry(path, out / checkpoint.FOLDER)
    return Start(footage=footage, source=source, state=state)


def _home(path: Path | None) -> Path | None:
    """The output folder that a checkpoint, or a folder of them, belongs to."""
    if path is None:
        return None
    folder = path if path.is_dir() else path.parent
    return folder.parent if folder.name == checkpoint.FOLDER else folder


@contextmanager
def _device(options: Options, crew: Crew) -> Iterator[Any]:
    """This process's device; that its memory is used up is told with what uses it."""
    import torch

    torch.set_num_threads(options.threads)
    if options.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
        torch.use_deterministic_algorithms(True, warn_only=True)
        torch.backends.cudnn.benchmark = False
    if options.device == "cuda":
        if crew.local >= torch.cuda.device_count():
            raise UsageError(
                f"process {crew.local} of this machine has no GPU; start one process for each GPU"
            )
        torch.cuda.set_device(crew.local)
    try:
        yield torch.device(options.device, crew.local) if options.device == "cuda" else torch.device("cpu")
    except torch.OutOfMemoryError as error:
        size = " ".join(map(str, options.crop))
        raise MemoryShortError(
            f"the GPU's memory does not suffice; lower --batch (now {options.batch}), --n_frames "
            f"({options.n_frames}), --edges ({options.edges}), --iters ({options.iters}) or --crop ({size}), "
            "or ask for a GPU with more"
        ) from error


def _train(options: Options, crew: Crew, device: Any, start: Start, ear: Ear) -> None:
    from slam.train.droidnet import DroidLearner, make_augment
    from slam.train.loop import Training
    from slam.train.samples import Draws, Feed, Samples

    training = Training(DroidLearner(options, device), options, crew)
    samples = Samples(start.footage, options, make_augment(options))
    draws = Draws(len(samples), batch=options.batch, rank=crew.rank, world=crew.world, seed=options.seed)
    feed = Feed(samples, draws, workers=options.workers, pin=options.device == "cuda")
    run(training, feed, start, ear)


def run(training: Any, feed: Any, start: Start, ear: Ear) -> None:
    """Go on from a checkpoint where there is one, make the steps, and keep what comes of them."""
    crew = training.crew
    dataset = start.footage.fingerprint
    if start.state is not None and start.source is not None:
        require_same(start.state["options"], training.binding(dataset), start.source)
        training.restore(start.state)
    keeper = _Keeper(training, dataset, start)
    if crew.leads:
        keeper.begin()
    ear.patient = True
    try:
        training.run(feed, stopping=lambda: ear.number, done=keeper.take)
    finally:
        if crew.leads:
            keeper.record.close()
    if crew.leads:
        keeper.conclude(finished=True)
    crew.wait()


class _Keeper:
    """Writes the files of a training."""

    def __init__(self, training: Any, dataset: str, start: Start) -> None:
        self.training, self.dataset, self.start = training, dataset, start
        self.options: Options = training.options
        self.record = record.Record(
            self.options.out, log_every=self.options.log_every, steps=self.options.steps
        )
        self.began, self.first = time.monotonic(), training.step
        self.loss: float | None = None

    def begin(self) -> None:
        self.record.open(self.training.step)
        source = self.start.source
        crew, options = self.training.crew, self.options
        say(f"training   {crew.world} processes on {options.device}, {options.batch} samples each in a step")
        if source is not None:
            say(f"resume     step {self.training.step:,} of {options.steps:,}, from {source.name}")

    def take(self, step: Any, number: int) -> None:
        """Write down a step, and save where it is time; in all processes, for each has its random state."""
        training, crew = self.training, self.training.crew
        self.loss = step.loss
        if crew.leads:
            self.record.add(training.step, step.values())
        ended = number or training.step == self.options.steps
        if ended or training.step % self.options.save_every == 0:
            state = training.capture(self.dataset)
            if crew.leads:
                self._save(state)
        if number:
            if crew.leads:
                say(f"saved      step {training.step:,} of {self.options.steps:,}")
                self.conclude(finished=False)
            crew.wait()

    def _save(self, state: Mapping[str, Any]) -> None:
        options = self.options
        weights = {f"module.{name}": value for name, value in state["model"].items()}
        path = checkpoint.save(
            options.out / checkpoint.FOLDER, options.name, self.training.step, state, weights, options.keep
        )
        with output.replacing(options.out / record.WEIGHTS) as part:
            shutil.copyfile(path.with_suffix(".pth"), part)

    def conclude(self, *, finished: bool) -> None:
        """Leave the summary and the figure."""
        options, out = self.options, self.options.out
        summary = self._summarize(finished=finished)
        with output.together(out) as folder:
            output.write_json(folder / record.SUMMARY, summary)
        record.draw(out, title=f"{options.name}: {self.training.step:,} of {options.steps:,} steps")
        say("result")
        for name in ("steps", "loss", "seconds"):
            say(f"  {name:<8} {summary[name]}")
        say(f"  files    {out}")

    def _summarize(self, *, finished: bool) -> dict[str, object]:
        import torch

        footage = self.start.footage
        seconds = time.monotonic() - self.began
        made = self.training.step - self.first
        cuda = self.options.device == "cuda"
        return {
            "task": "train",
            "finished": finished,
            "steps": self.training.step,
            "resumed_from": self.first or None,
            "loss": self.loss,
            "seconds": round(seconds, 3),
            "seconds_per_step": round(seconds / made, 4) if made else None,
            "processes": self.training.crew.world,
            "scenes": len(footage.scenes),
            "frames": sum(map(len, footage.scenes)),
            "samples": len(footage.starts),
            "gpu": torch.cuda.get_device_name() if cuda else None,
            "gpu_memory_bytes": torch.cuda.max_memory_allocated() if cuda else None,
            "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
            "arguments": self.options.summarize(),
        }
