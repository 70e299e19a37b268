"""Trains a small network to read handwritten digits. When it is told to stop, it saves, and can go on later.

It makes the same steps, with the same losses, whether it was stopped in between or not.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn

from checkpoint import CHECKPOINT, METRICS, find_checkpoint, load, save, take_over_metrics

OUT = Path(os.environ.get("SLIPWAY_OUT", "out"))


class Stop:
    """Remembers that a signal has asked to stop, and which."""

    def __init__(self) -> None:
        self.signal = 0
        # The time limit is near; the job is cancelled, preempted or requeued.
        for number in (signal.SIGUSR1, signal.SIGTERM):
            signal.signal(number, self._remember)

    def _remember(self, number: int, _frame: FrameType | None) -> None:
        self.signal = number


class Digits:
    """1797 pictures of 8 by 8 pixels, which come with scikit-learn: a fifth of them is kept for testing."""

    def __init__(self, batch: int, device: str) -> None:
        pictures, labels = load_digits(return_X_y=True)
        parts = train_test_split(pictures / 16, labels, test_size=0.2, random_state=0, stratify=labels)
        as_pictures = [torch.tensor(part, dtype=torch.float32).reshape(-1, 1, 8, 8) for part in parts[:2]]
        self.pictures, self.test_pictures = (part.to(device) for part in as_pictures)
        self.labels, self.test_labels = (torch.tensor(part).to(device) for part in parts[2:])
        self.batch = batch
        self.batches = len(self.labels) // batch

    def take(self, step: int) -> tuple[Any, Any]:
        """The batch of a step. The order is another in each epoch, and depends on nothing but the epoch."""
        epoch, place = divmod(step, self.batches)
        order = torch.randperm(len(self.labels), generator=torch.Generator().manual_seed(epoch))
        chosen = order[place * self.batch : (place + 1) * self.batch]
        return self.pictures[chosen], self.labels[chosen]


class Training:
    """The network, its optimizer and its schedule, and how many steps they have made."""

    def __init__(self, options: dict[str, float], digits: Digits, device: str) -> None:
        torch.manual_seed(0)
        self.options, self.digits, self.step = options, digits, 0
        self.steps = int(options["epochs"]) * digits.batches
        self.network = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64 * 4 * 4, 10),
        ).to(device)
        self.optimizer = torch.optim.SGD(self.network.parameters(), lr=options["lr"], momentum=0.9)
        self.schedule = torch.optim.lr_scheduler.CosineAnnealingLR(self.optimizer, self.steps)

    def advance(self) -> dict[str, float]:
        """Make one step; returns the line that is kept of it."""
        pictures, labels = self.digits.take(self.step)
        self.network.train()
        loss = nn.functional.cross_entropy(self.network(pictures), labels)
        self.optimizer.zero_grad()
        loss.backward()
        self.optimizer.step()
        self.schedule.step()
        self.step += 1
        line = {"step": self.step, "loss": loss.item()}
        if self.step % self.digits.batches == 0:
            line |= {"epoch": self.step // self.digits.batches, **self.test()}
        return line

    def test(self) -> dict[str, float]:
        """The loss on pictures that nothing was learned from, and the share of them that is read right."""
        self.network.eval()
        with torch.no_grad():
            scores = self.network(self.digits.test_pictures)
        loss = nn.functional.cross_entropy(scores, self.digits.test_labels).item()
        right = (scores.argmax(1) == self.digits.test_labels).float().mean().item()
        return {"test_loss": loss, "accuracy": right}

    def state(self) -> dict[str, Any]:
        """All that is needed to go on: also the state of the random numbers, which dropout draws."""
        return {
            "options": self.options,
            "step": self.step,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "schedule": self.schedule.state_dict(),
            "random": torch.get_rng_state(),
            "cuda_random": torch.cuda.get_rng_state_all(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        if state["options"] != self.options:
            raise SystemExit(f"the checkpoint was made with {state['options']}, and not with {self.options}")
        self.step = state["step"]
        self.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.schedule.load_state_dict(state["schedule"])
        torch.set_rng_state(state["random"])
        if torch.cuda.is_available():
            torch.cuda.set_rng_state_all(state["cuda_random"])


def train(training: Training, stop: Stop) -> int:
    """Make the steps that are left, or those until a signal; returns the exit code."""
    with (OUT / METRICS).open("a", encoding="utf-8") as metrics:
        while training.step < training.steps and not stop.signal:
            line = training.advance()
            print(json.dumps(line), file=metrics, flush=True)
            if "epoch" in line:
                print("epoch {epoch}  loss {loss:.4f}  accuracy {accuracy:.4f}".format(**line), flush=True)
                save(OUT / CHECKPOINT, training.state())
    save(OUT / CHECKPOINT, training.state())
    if training.step < training.steps:
        name = signal.Signals(stop.signal).name
        print(f"{name}: stopped and saved after step {training.step} of {training.steps}", flush=True)
        return 128 + stop.signal
    return 0


def main() -> int:
    """Train, from the beginning or from a checkpoint."""
    stop = Stop()
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--lr", type=float, default=0.1)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--resume", type=Path, help="the output folder of an earlier run, to go on from")
    options = vars(parser.parse_args())
    resume = options.pop("resume")
    # The last attempt has come further than what the first one went on from.
    checkpoint = find_checkpoint([os.environ.get("SLIPWAY_PREVIOUS"), resume])
    if resume and checkpoint is None:
        parser.error(f"{resume} holds no {CHECKPOINT}; name the output folder of an earlier run")

    torch.use_deterministic_algorithms(True)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # which that wants on a GPU
    device = "cuda" if torch.cuda.is_available() else "cpu"
    OUT.mkdir(parents=True, exist_ok=True)
    training = Training(options, Digits(options["batch"], device), device)
    if checkpoint is not None:
        training.restore(load(checkpoint))
        take_over_metrics(checkpoint.parent, OUT, training.step)
        # The attempt after this one sees the output of this one only.
        save(OUT / CHECKPOINT, training.state())
        print(f"going on from {checkpoint}, step {training.step} of {training.steps}", flush=True)
    code = train(training, stop)
    if code == 0:
        result = {"steps": training.step, **training.test()}
        (OUT / "summary.json").write_text(json.dumps(result) + "\n", encoding="utf-8")
    return code


if __name__ == "__main__":
    raise SystemExit(main())
