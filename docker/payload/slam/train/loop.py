"""The steps of a training, whatever it is that learns."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from slam.errors import Stopped, TrainingError
from slam.train import randomness
from slam.train.distributed import ProcessGroup
from slam.train.options import Options, bind

Metrics = Mapping[str, float]


class Learner(Protocol):
    """What is trained, and how it is told what was wrong."""

    network: Any

    def passes(
        self, model: Any, batch: Any, shared: np.random.Generator, own: np.random.Generator
    ) -> Iterator[tuple[Any, Metrics]]:
        """Losses of one batch, one after another; each is differentiated before the next is asked for.

        Args:
            model: the network, as it is called to have its gradients shared.
            batch: what the feed gives.
            shared: draws the same in all processes, so that all make as many passes.
            own: draws another in each process and step.
        """


class Source(Protocol):
    """Where batches come from."""

    def batches(self, epoch: int, position: int) -> Iterator[Any]:
        """The batches of an epoch from one of them on, the same whenever they are asked for."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """What one step came to, over all processes."""

    epoch: int
    loss: float
    lr: float
    gradient_norm: float
    metrics: Metrics

    def values(self) -> dict[str, float]:
        """One row of the table of losses."""
        return {
            "epoch": self.epoch,
            "lr": self.lr,
            "loss": self.loss,
            "gradient_norm": self.gradient_norm,
            **self.metrics,
        }


class Training:
    """A network, its optimizer and schedule, and how far they are."""

    def __init__(self, learner: Learner, options: Options, group: ProcessGroup) -> None:
        import torch

        self.learner, self.options, self.group = learner, options, group
        self.step = self.epoch = self.position = 0
        self.shared = np.random.default_rng(randomness.SHARED_SEED)
        self.model = _spread(learner.network, group, options.device)
        self.parameters = [one for one in learner.network.parameters() if one.requires_grad]
        self.optimizer = torch.optim.Adam(self.parameters, lr=options.lr, weight_decay=1e-5)
        self.scheduler = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, options.lr, options.steps, pct_start=_warm_up(options.steps), cycle_momentum=False
        )

    def capture(self, dataset: str) -> dict[str, Any]:
        """All that a checkpoint holds; all processes must ask for it together."""
        return {
            "model": self.learner.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.scheduler.state_dict(),
            "epoch": self.epoch,
            "position": self.position,
            "shared": self.shared.bit_generator.state,
            "random": self.group.gather(randomness.capture()),
            "options": bind(self.options, self.group.world, dataset),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from what was captured."""
        self.learner.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.scheduler.load_state_dict(state["schedule"])
        self.step, self.epoch, self.position = state["step"], state["epoch"], state["position"]
        self.shared.bit_generator.state = state["shared"]
        randomness.restore(state["random"][self.group.rank])

    def run(self, source: Source, *, stopping: Callable[[], int], done: Callable[[Step, int], None]) -> None:
        """Make steps until there are enough of them.

        Args:
            source: where batches come from.
            stopping: the number of a signal that asks to stop, else 0; one process's is for all.
            done: called in all processes after each step with the signal's number or 0, to save when it is
                time.

        Raises:
            TrainingError: the loss or its gradient is not a number any more.
            Stopped: a signal asked for it; then the step was finished, and ``done`` called.
        """
        while self.step < self.options.steps:
            for batch in source.batches(self.epoch, self.position):
                step, signal = self.advance(batch, stopping)
                done(step, signal)
                if signal:
                    raise Stopped(signal)
                if self.step == self.options.steps:
                    return
            self.epoch, self.position = self.epoch + 1, 0

    def advance(self, batch: Any, stopping: Callable[[], int]) -> tuple[Step, int]:
        """Make one step."""
        import torch

        self.optimizer.zero_grad()
        own = np.random.default_rng([self.options.seed, self.step, self.group.rank])
        loss, finite = math.nan, True
        metrics: Metrics = {}
        for tensor, found in self.learner.passes(self.model, batch, self.shared, own):
            loss, metrics = float(tensor.detach()), found
            finite = finite and math.isfinite(loss)
            tensor.backward()
        broken, signal = self.group.highest([not finite, stopping()])
        norm = float(torch.nn.utils.clip_grad_norm_(self.parameters, self.options.clip))
        if broken or not math.isfinite(norm):
            raise TrainingError(self._explain("loss" if broken else "gradient"))
        lr = self.scheduler.get_last_lr()[0]
        self.optimizer.step()
        self.scheduler.step()
        self.step, self.position = self.step + 1, self.position + 1
        loss, *values = self.group.mean([loss, *metrics.values()])
        named = dict(zip(metrics, values, strict=True))
        return Step(epoch=self.epoch, loss=loss, lr=lr, gradient_norm=norm, metrics=named), int(signal)

    def _explain(self, what: str) -> str:
        return (
            f"the {what} is not a finite number in step {self.step + 1}, and the network was left as it was "
            "before it; go on from the last checkpoint, or begin anew with a lower --lr or --clip"
        )


def _warm_up(steps: int) -> float:
    """The share of steps in which the rate of learning rises: 1 % as upstream, but at least two steps."""
    return max(0.01, 2 / steps)


def _spread(network: Any, group: ProcessGroup, device: str) -> Any:
    """The network with its gradients shared between processes."""
    if group.world == 1:
        return network
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(network, device_ids=[group.local] if device == "cuda" else None)
