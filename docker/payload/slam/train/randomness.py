"""Random numbers that come out the same again: after a resume, and with any number of loading processes."""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np

# Upstream's seed of what all processes decide alike.
SHARED_SEED = 12345


def capture() -> dict[str, Any]:
    """The states of Python's, numpy's and PyTorch's own generators, as numbers, lists and tensors."""
    import torch

    state = np.random.get_state(legacy=False)
    keys = state["state"]["key"].tolist()
    return {
        "python": random.getstate(),
        "numpy": {**state, "state": {**state["state"], "key": keys}},
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state() if torch.cuda.is_initialized() else None,
    }


def restore(states: Mapping[str, Any]) -> None:
    """Go on from states that were captured in a process that did the same work."""
    import torch

    version, numbers, gauss = states["python"]
    random.setstate((version, tuple(numbers), gauss))
    state = states["numpy"]
    keys = np.array(state["state"]["key"], np.uint32)
    np.random.set_state({**state, "state": {**state["state"], "key": keys}})
    torch.set_rng_state(states["torch"])
    if states["cuda"] is not None and torch.cuda.is_available():
        torch.cuda.set_rng_state(states["cuda"])


@contextmanager
def seeded(*words: int) -> Iterator[np.random.Generator]:
    """Within it all generators begin from these numbers; afterwards they are as they were before."""
    import torch

    before = random.getstate(), np.random.get_state(), torch.get_rng_state()
    sequence = np.random.SeedSequence(words)
    first, second, third = (int(word) for word in sequence.generate_state(3))
    try:
        random.seed(first)
        np.random.seed(second)
        # Not manual_seed, which would start CUDA's generators anew as well.
        torch.default_generator.manual_seed(third)
        yield np.random.default_rng(sequence)
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        torch.set_rng_state(before[2])
