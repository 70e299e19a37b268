"""What jobs used, as any scheduler's accounting has it: neutral values."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

# Records of runs have these values, and are checked by them.
from slipway.checked import Amount, Count


@dataclass(frozen=True, kw_only=True)
class GpuUse:
    """How much of one GPU was used, by samples that were taken while the job ran.

    Attributes:
        node: which of the job's nodes has it; ``None`` for a job on one node.
        gpu: its index on that node, as ``nvidia-smi`` counts.
        samples: how many there are.
        mean_utilization_percent: the part of the time in which a kernel ran.
        peak_memory_mb: the most memory that was in use, in MiB, as ``nvidia-smi`` has it.
        mean_power_w: what it drew; ``None`` where it does not say.
    """

    node: Count | None = None
    gpu: Count
    samples: Count
    mean_utilization_percent: Amount
    peak_memory_mb: Amount
    mean_power_w: Amount | None = None


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What a job used beside what it was given; what is not accounted is ``None``.

    Attributes:
        attempts: how often it was started.
        elapsed_s: the wall time of all attempts; of an array, of all its tasks, too.
        longest_s: the wall time of the longest attempt.
        limit_s: the limit of an attempt's wall time.
        nodes: how many it had at once.
        cpus: the cores that it had at once, on all nodes.
        cpu_s: CPU time.
        core_s: cores times wall time, of the attempts that ``cpu_s`` is of.
        peak_memory_bytes: the most memory on one node.
        asked_memory_bytes: the memory that it was given on each node.
        gpus: the GPUs that it had at once, on all nodes.
        energy_j: what its nodes took.
        gpu_use: how its GPUs were used, where that was sampled.
    """

    attempts: Count = 1
    elapsed_s: Count = 0
    longest_s: Count = 0
    limit_s: Count | None = None
    nodes: Count | None = None
    cpus: Count | None = None
    cpu_s: Amount | None = None
    core_s: Amount | None = None
    peak_memory_bytes: Count | None = None
    asked_memory_bytes: Count | None = None
    gpus: Count | None = None
    energy_j: Count | None = None
    gpu_use: tuple[GpuUse, ...] = ()


@dataclass(frozen=True, kw_only=True)
class UsageAnswer:
    """What accounting knows of the jobs that were asked for.

    Attributes:
        usages: by names and tasks; a job that accounting does not know as over, or not whole, is absent.
        problem: why accounting could not be asked.
    """

    usages: Mapping[tuple[str, int | None], Usage]
    problem: str | None = None


def add_up(parts: Collection[Usage]) -> Usage:
    """Several attempts, or an array's tasks, as one; there is one of them at least.

    Time and energy are added up. Of what was given at once, and of peaks, it is the largest.
    """
    return Usage(
        attempts=sum(part.attempts for part in parts),
        elapsed_s=sum(part.elapsed_s for part in parts),
        longest_s=max(part.longest_s for part in parts),
        limit_s=_most(part.limit_s for part in parts),
        nodes=_most(part.nodes for part in parts),
        cpus=_most(part.cpus for part in parts),
        cpu_s=_sum(part.cpu_s for part in parts),
        core_s=_sum(part.core_s for part in parts),
        peak_memory_bytes=_most(part.peak_memory_bytes for part in parts),
        asked_memory_bytes=_most(part.asked_memory_bytes for part in parts),
        gpus=_most(part.gpus for part in parts),
        energy_j=None
        if all(part.energy_j is None for part in parts)
        else sum(p.energy_j or 0 for p in parts),
        gpu_use=_gpus(use for part in parts for use in part.gpu_use),
    )


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _sum(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(sum(known), 3) if known else None


def _gpus(uses: Iterable[GpuUse]) -> tuple[GpuUse, ...]:
    """One for each place, by all of its samples."""
    merged: dict[tuple[int, int], GpuUse] = {}
    for use in uses:
        place = (use.node or 0, use.gpu)
        merged[place] = _merged(merged[place], use) if place in merged else use
    return tuple(merged[place] for place in sorted(merged))


def _merged(one: GpuUse, two: GpuUse) -> GpuUse:
    samples = one.samples + two.samples or 1

    def mean(of_one: float, of_two: float) -> float:
        return (of_one * one.samples + of_two * two.samples) / samples

    both = one.mean_power_w is not None and two.mean_power_w is not None
    return replace(
        one,
        samples=one.samples + two.samples,
        mean_utilization_percent=mean(one.mean_utilization_percent, two.mean_utilization_percent),
        peak_memory_mb=max(one.peak_memory_mb, two.peak_memory_mb),
        mean_power_w=mean(one.mean_power_w or 0, two.mean_power_w or 0) if both else None,
    )
