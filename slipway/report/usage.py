"""What a run used beside what it asked for, and what would have been enough: values and words. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

from slipway.errors import ParseError
from slipway.job.run import Reason, Run
from slipway.quantity import mebibytes, minutes
from slipway.report.advice import advise, cores_used, size_words
from slipway.scheduler.usage import Usage
from slipway.text.number import whole
from slipway.text.wording import clock

_MB = 1 << 20
_UNKNOWN = "not known"
# A shorter attempt says little: many sites look at a job's memory every 30 s only.
_LEAST_S = 120


def usage_values(run: Run) -> dict[str, Any]:
    """What a run used, by the keys that JSON has; ``None`` is not known.

    ``advice`` has :func:`advice`, and ``tasks`` the same keys for each task of an array, with its ``index``.
    Sizes are bytes but for a GPU's memory, which is MiB.
    """
    tasks = [{"index": index, **_values(usage)} for index, usage in run.task_usages.items()]
    return {**_values(run.usage or _asked(run)), "advice": advice(run), "tasks": tasks}


def usage_words(run: Run) -> list[tuple[str, str]]:
    """What a run used, as words for a person: what it is, and how much of it."""
    values = usage_values(run)
    limit = _UNKNOWN if values["limit_s"] is None else clock(values["limit_s"])
    several = f" in {values['attempts']} attempts" if values["attempts"] > 1 else ""
    rows = [
        ("time", f"{clock(values['longest_s'])} of {limit}{_share(values['time_percent'])}{several}"),
        ("cores", _of(values["cores_used"], values["cpus"], values["cpu_percent"], str)),
        (
            "memory",
            _of(
                values["peak_memory_bytes"],
                values["asked_memory_bytes"],
                values["memory_percent"],
                size_words,
            ),
        ),
    ]
    if values["gpus"]:
        rows.append(("GPUs", str(values["gpus"])))
    rows += [(_gpu_name(use), _gpu_words(use)) for use in values["gpu_use"]]
    if values["energy_j"] is not None:
        rows.append(("energy", f"{values['energy_j'] / 3.6e6:.2f} kWh"))
    return rows


def advice(run: Run) -> list[str]:
    """What would have been enough, in numbers; nothing for runs that failed, or were too short to say."""
    if run.usage is None or run.status.reason != Reason.OK or run.usage.longest_s < _LEAST_S:
        return []
    return advise(run.usage, [*run.task_usages.values()] or [run.usage])


def _values(usage: Usage) -> dict[str, Any]:
    """The keys of one run or task.

    The formulas are those of SLURM's own ``seff`` (contribs/seff): CPU time over cores times wall time, and
    the peak of memory over what was given.
    """
    return {
        "attempts": usage.attempts,
        "elapsed_s": usage.elapsed_s,
        "longest_s": usage.longest_s,
        "limit_s": usage.limit_s,
        "time_percent": _percent(usage.longest_s, usage.limit_s),
        "nodes": usage.nodes,
        "cpus": usage.cpus,
        "cpu_s": usage.cpu_s,
        "cores_used": cores_used(usage),
        "cpu_percent": _percent(usage.cpu_s, usage.core_s),
        "peak_memory_bytes": usage.peak_memory_bytes,
        "asked_memory_bytes": usage.asked_memory_bytes,
        "memory_percent": _percent(usage.peak_memory_bytes, usage.asked_memory_bytes),
        "gpus": usage.gpus,
        "gpu_use": [asdict(use) for use in usage.gpu_use],
        "energy_j": usage.energy_j,
    }


def _asked(run: Run) -> Usage:
    """What is known where nothing was accounted: the wall time, and what was asked for."""
    asked, elapsed_s = run.resources, run.status.elapsed_s or 0
    nodes = _whole(asked.get("nodes")) or 1
    cpus, gpus = _whole(asked.get("cpus")), str(asked.get("gpus") or "0").rpartition(":")[2]
    return Usage(
        elapsed_s=elapsed_s,
        longest_s=elapsed_s,
        limit_s=run.status.limit_s or _limit_s(asked.get("time")),
        nodes=nodes,
        cpus=None if cpus is None else cpus * nodes,
        asked_memory_bytes=_memory_bytes(asked.get("mem")),
        gpus=(1 if (number := whole(gpus)) is None else number) * nodes,
    )


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) else None


def _limit_s(time: object) -> int | None:
    try:
        limit = minutes(time) if isinstance(time, str) else math.inf
    except ParseError:
        return None
    return None if math.isinf(limit) else round(limit * 60)


def _memory_bytes(memory: object) -> int | None:
    try:
        return round(mebibytes(memory) * _MB) or None if isinstance(memory, str) else None
    except ParseError:
        return None


def _percent(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else round(100 * part / whole, 1)


def _of(used: float | None, asked: float | None, percent: float | None, word: Callable[[Any], str]) -> str:
    if used is None:
        return _UNKNOWN if asked is None else f"{_UNKNOWN}, of {word(asked)}"
    return word(used) if asked is None else f"{word(used)} of {word(asked)}{_share(percent)}"


def _share(percent: float | None) -> str:
    return "" if percent is None else f" ({percent:.0f} %)"


def _gpu_name(use: Mapping[str, Any]) -> str:
    return f"GPU {use['gpu']}" if use["node"] is None else f"GPU {use['gpu']} of node {use['node']}"


def _gpu_words(use: Mapping[str, Any]) -> str:
    power = "" if use["mean_power_w"] is None else f", {use['mean_power_w']:.0f} W"
    memory = size_words(use["peak_memory_mb"] * _MB)
    return f"{use['mean_utilization_percent']:.0f} % used on average, at most {memory}{power}"
