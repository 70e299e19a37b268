"""The processes of a training, seen from one of them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")

# The first process checks the whole dataset before it joins the others.
_PREPARATION = timedelta(hours=24)
_STEP = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class Crew:
    """``rank`` of ``world`` processes, ``local`` on its machine; what one asks of all, all must ask."""

    rank: int = 0
    local: int = 0
    world: int = 1

    @property
    def leads(self) -> bool:
        """True in the process that writes files."""
        return self.rank == 0

    def share(self, value: T) -> T:
        """The first process's value, in all of them."""
        if self.world == 1:
            return value
        import torch.distributed as dist

        box = [value]
        dist.broadcast_object_list(box, src=0)
        return box[0]

    def gather(self, value: T) -> list[T]:
        """The values of all processes, by rank."""
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        values: list[T] = [value] * self.world
        dist.all_gather_object(values, value)
        return values

    def mean(self, values: Sequence[float]) -> list[float]:
        """The means over all processes."""
        return [value / self.world for value in self._reduce(values, "SUM")]

    def highest(self, values: Sequence[float]) -> list[float]:
        """The highest over all processes."""
        return self._reduce(values, "MAX")

    def _reduce(self, values: Sequence[float], how: str) -> list[float]:
        if self.world == 1:
            return [float(value) for value in values]
        import torch
        import torch.distributed as dist

        numbers = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(numbers, getattr(dist.ReduceOp, how))
        result: list[float] = numbers.tolist()
        return result

    def wait(self) -> None:
        """Go on when all are here."""
        self.highest([0])


def find_crew(environment: Mapping[str, str]) -> Crew:
    """Read what torchrun, or our own start of processes, tells each of them."""
    rank, local, world = (int(environment.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    return Crew(rank=rank, local=local, world=max(1, world))


def is_worker(environment: Mapping[str, str]) -> bool:
    """True in a process that torchrun has started."""
    return all(
        name in environment for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    )


@contextmanager
def joined(crew: Crew, *, device: str) -> Iterator[None]:
    """Meet the other processes; numbers travel by gloo, gradients on GPUs by NCCL."""
    if crew.world == 1:
        yield
        return
    import torch.distributed as dist

    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # torchrun itself keeps the place where they meet.
        dist.init_process_group(backend, init_method="env://", timeout=_PREPARATION)
    else:
        host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
        store = dist.TCPStore(host, port, crew.world, crew.leads, timeout=_PREPARATION)
        dist.init_process_group(backend, store=store, rank=crew.rank, world_size=crew.world, timeout=_STEP)
    try:
        yield
    finally:
        dist.destroy_process_group()
