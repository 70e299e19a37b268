"""The files of a training: a checkpoint that is whole or not there, and a line of figures for each step."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch

CHECKPOINT, METRICS = "checkpoint.pt", "metrics.jsonl"


def save(path: Path, state: dict[str, Any]) -> None:
    """Write a checkpoint to the disk, and only then put it in the place of the last one."""
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        torch.save(state, file)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def load(path: Path) -> dict[str, Any]:
    """Read a checkpoint; nothing in it is run as code."""
    state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def find_checkpoint(places: Iterable[str | Path | None]) -> Path | None:
    """The checkpoint in the first of these folders that has one; nowhere is no place."""
    named = [Path(place) for place in places if place]
    for place in named:
        if (place / CHECKPOINT).is_file():
            return place / CHECKPOINT
    return None


def take_over_metrics(source: Path, out: Path, step: int) -> None:
    """Copy the lines up to a step. Those after it are of steps that will be made again."""
    kept = []
    for line in (source / METRICS).read_text(encoding="utf-8").splitlines(keepends=True):
        # A training that was killed may leave half a line, of a step after its last checkpoint.
        if not line.endswith("\n") or json.loads(line)["step"] > step:
            break
        kept.append(line)
    (out / METRICS).write_text("".join(kept), encoding="utf-8")
