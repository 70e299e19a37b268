"""The processes of a training, seen from one of them."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

from slam.errors import DeviceError, SlamError

T = TypeVar("T")

# The first process checks the whole dataset before it joins the others.
_PREPARATION = timedelta(hours=24)
_STEP = timedelta(minutes=30)


@dataclass(frozen=True, kw_only=True)
class ProcessGroup:
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


def find_group(environment: Mapping[str, str]) -> ProcessGroup:
    """Read what torchrun, or our own start of processes, tells each of them."""
    rank, local, world = (int(environment.get(name, "0")) for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE"))
    return ProcessGroup(rank=rank, local=local, world=max(1, world))


def is_worker(environment: Mapping[str, str]) -> bool:
    """True in a process that torchrun has started."""
    return all(
        name in environment for name in ("RANK", "LOCAL_RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
    )


@contextmanager
def joined(group: ProcessGroup, *, device: str) -> Iterator[None]:
    """Meet the other processes; numbers travel by gloo, gradients on GPUs by NCCL."""
    if group.world == 1:
        yield
        return
    import torch.distributed as dist

    backend = "cpu:gloo,cuda:nccl" if device == "cuda" else "gloo"
    if "TORCHELASTIC_RUN_ID" in os.environ:
        # torchrun itself keeps the place where they meet.
        dist.init_process_group(backend, init_method="env://", timeout=_PREPARATION)
    else:
        store = _meet(group)
        dist.init_process_group(backend, store=store, rank=group.rank, world_size=group.world, timeout=_STEP)
    yield
    # Not after a failure: it would wait for what the others, who do not know of it, are still to send.
    dist.destroy_process_group()


def _meet(group: ProcessGroup) -> Any:
    """The place where the first process keeps what the others ask for, once all have come to it.

    Raises:
        SlamError: they cannot meet, or are not as many on each node.
    """
    import torch.distributed as dist

    host, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    # Who starts processes with another program than ours, or torchrun, need not say these.
    node, nodes, local = (
        int(os.environ.get(name, default))
        for name, default in (("GROUP_RANK", "0"), ("GROUP_WORLD_SIZE", "1"), ("LOCAL_WORLD_SIZE", "1"))
    )

    def come() -> tuple[Any, list[int]]:
        store = dist.TCPStore(host, port, None, group.leads, timeout=_PREPARATION, wait_for_workers=False)
        store.set(f"processes/{node}", str(local))
        return store, [int(store.get(f"processes/{other}")) for other in range(nodes)]

    try:
        store, processes = _hear_meanwhile(come)
    except dist.DistError as error:
        reason = str(error).partition("\n")[0]
        raise SlamError(f"the job's processes cannot meet at port {port} of {host}: {reason}") from error
    if len(set(processes)) > 1:
        raise DeviceError(
            f"the job's nodes have {', '.join(map(str, processes))} processes, one for each GPU, and each "
            f"must have as many; say --gpus {min(processes)}, or ask for other nodes"
        )
    return store


def _hear_meanwhile(wait: Callable[[], T]) -> T:
    """What is waited for in a thread, since a library that waits in this one would let no signal be heard."""
    answer: Future[T] = Future()

    def run() -> None:
        try:
            answer.set_result(wait())
        except BaseException as error:
            answer.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return answer.result()
