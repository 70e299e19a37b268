"""What would have been enough for a job, by what it used. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence

from slipway.scheduler.usage import Usage
from slipway.text.wording import clock

# SLURM's G, which is 2^30 bytes; `seff` calls it GB, too.
_GB, _MB = 1 << 30, 1 << 20
# Advice is given where less than this part of what was asked for was used.
_PART = 0.5
_LEAST_BYTES, _LEAST_LIMIT_S = _GB, 1800
# How much more than what was used is advised, so that a run that is a little larger does not fail.
_MEMORY_ROOM, _CORE_ROOM, _TIME_ROOM = 1.3, 1.2, 1.5
_IDLE_PERCENT = 5


def advise(usage: Usage, tasks: Sequence[Usage]) -> list[str]:
    """What to ask for instead, in numbers; nothing where what was asked for was used.

    Args:
        usage: of the whole run.
        tasks: of each task of an array, or the same alone. They share no cores, so the busiest decides.
    """
    said = (_memory_advice(usage), _core_advice(tasks), _gpu_advice(usage), _time_advice(usage))
    return [one for one in said if one]


def cores_used(usage: Usage) -> float | None:
    """Cores that were busy, on average."""
    if usage.cpu_s is None or not usage.core_s or usage.cpus is None:
        return None
    return round(usage.cpu_s / usage.core_s * usage.cpus, 2)


def size_words(size_bytes: float) -> str:
    """A size of memory in SLURM's units: ``9.0 GB`` of 2^30 bytes each, or ``211 MB``."""
    if size_bytes >= _GB:
        return f"{size_bytes / _GB:.1f} GB".replace(".0 GB", " GB")
    return f"{size_bytes / _MB:.0f} MB"


def _memory_advice(usage: Usage) -> str | None:
    used, asked = usage.peak_memory_bytes, usage.asked_memory_bytes
    if not used or not asked or used > asked * _PART or asked - used < _LEAST_BYTES:
        return None
    enough = math.ceil(used * _MEMORY_ROOM / _GB)
    if enough * _GB >= asked:
        return None
    return f"asked {size_words(asked)}, used {size_words(used)}: --mem {enough}G would do"


def _core_advice(tasks: Sequence[Usage]) -> str | None:
    usage = max(tasks, key=lambda task: cores_used(task) or 0)
    used = cores_used(usage)
    if used is None:
        return None
    asked, nodes = usage.cpus or 0, usage.nodes or 1
    enough = max(1, math.ceil(used / nodes * _CORE_ROOM)) * nodes
    if used > asked * _PART or enough >= asked:
        return None
    each = " a node" if nodes > 1 else ""
    cores = "1 core" if asked == 1 else f"{asked} cores"
    return f"asked {cores}, {used:.1f} used on average: --cpus {enough // nodes}{each} would do"


def _gpu_advice(usage: Usage) -> str | None:
    idle = [use for use in usage.gpu_use if use.mean_utilization_percent < _IDLE_PERCENT]
    if not idle:
        return None
    most = max(use.mean_utilization_percent for use in idle)
    count, used = len(usage.gpu_use), len(usage.gpu_use) - len(idle)
    asked = "1 GPU" if count == 1 else f"{count} GPUs"
    if not used:
        return f"asked {asked}, at most {most:.0f} % used on average: does the program use it?"
    return f"asked {asked}, used {used}: --gpus {used} would do"


def _time_advice(usage: Usage) -> str | None:
    took, limit = usage.longest_s, usage.limit_s
    if limit is None or took > limit * _PART or limit - took < _LEAST_LIMIT_S:
        return None
    # In quarters of an hour.
    enough = math.ceil(took * _TIME_ROOM / 900) * 900
    return (
        f"limit {clock(limit)}, took {clock(took)}: --time {clock(enough)} would do"
        if enough < limit
        else None
    )
