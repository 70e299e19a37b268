"""What a training leaves behind, and when."""

from __future__ import annotations

import platform
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from slam.output import results
from slam.progress import say
from slam.train import checkpoint, record
from slam.train.loop import Step, Training
from slam.train.options import Options
from slam.train.preparation import Footage


class Artifacts:
    """Writes the files of a training that one process leads; the others help it to."""

    def __init__(self, training: Training, dataset: str, footage: Footage, source: Path | None) -> None:
        self.training, self.dataset, self.footage, self.source = training, dataset, footage, source
        self.options: Options = training.options
        self.record = record.Record(
            self.options.out, log_every=self.options.log_every, steps=self.options.steps
        )
        self.began, self.first = time.monotonic(), training.step
        self.loss: float | None = None

    def begin(self) -> None:
        """Open the files, and say what is going to happen."""
        with record.writing(self.options.out):
            self.record.open(self.training.step)
            if self.source is not None:
                self._show_weights(self.source)
        group, options = self.training.group, self.options
        say(f"training   {group.world} processes on {options.device}, {options.batch} samples each in a step")
        if self.source is not None:
            say(f"resume     step {self.training.step:,} of {options.steps:,}, from {self.source.name}")

    def take(self, step: Step, number: int) -> None:
        """Write down a step, and save where it is time; in all processes, for each has its random state."""
        training, group = self.training, self.training.group
        self.loss = step.loss
        if group.leads:
            with record.writing(self.options.out):
                self.record.add(training.step, step.values())
        ended = number or training.step == self.options.steps
        if ended or training.step % self.options.save_every == 0:
            state = training.capture(self.dataset)
            if group.leads:
                self._save(state)
        if number:
            if group.leads:
                say(f"saved      step {training.step:,} of {self.options.steps:,}")
                self.conclude(finished=False)
            group.wait()

    def _save(self, state: Mapping[str, Any]) -> None:
        options = self.options
        weights = {f"module.{name}": value for name, value in state["model"].items()}
        path = checkpoint.save(
            options.out / checkpoint.FOLDER, options.name, self.training.step, state, weights, options.keep
        )
        with record.writing(options.out):
            self._show_weights(path)

    def _show_weights(self, path: Path) -> None:
        if path.with_suffix(".pth").exists():
            with results.replacing(self.options.out / record.WEIGHTS) as part:
                shutil.copyfile(path.with_suffix(".pth"), part)

    def conclude(self, *, finished: bool) -> None:
        """Leave the summary and the figure."""
        options, out = self.options, self.options.out
        summary = self._summarize(finished=finished)
        with results.together(out) as folder:
            results.write_json(folder / record.SUMMARY, summary)
        with record.writing(out):
            record.draw(out, title=f"{options.name}: {self.training.step:,} of {options.steps:,} steps")
        say("result")
        for name in ("steps", "loss", "seconds"):
            say(f"  {name:<8} {summary[name]}")
        say(f"  files    {out}")

    def _summarize(self, *, finished: bool) -> dict[str, object]:
        import torch

        footage = self.footage
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
            "processes": self.training.group.world,
            "scenes": len(footage.scenes),
            "frames": sum(map(len, footage.scenes)),
            "samples": len(footage.starts),
            "gpu": torch.cuda.get_device_name() if cuda else None,
            "gpu_memory_bytes": torch.cuda.max_memory_allocated() if cuda else None,
            "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
            "arguments": self.options.summarize(),
        }
