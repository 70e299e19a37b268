"""What tries have cost by now, in GPU-hours and in the site's currency. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from slipway.errors import UsageError
from slipway.job.run import Run
from slipway.site import Queue, Site
from slipway.text.number import whole


@dataclass(frozen=True, kw_only=True)
class Budget:
    """What may be spent; ``None`` for any.

    Attributes:
        most_tries: how often each element is tried.
        gpu_hours: of all tries together.
        cost: of all tries together, in the site's currency.
    """

    most_tries: int
    gpu_hours: float | None = None
    cost: float | None = None


@dataclass(frozen=True, kw_only=True)
class Spent:
    """What was spent by now."""

    gpu_hours: float = 0.0
    cost: float = 0.0

    def reached(self, budget: Budget, currency: str) -> str | None:
        """Which budget is spent, in words; ``None`` where none is."""
        if budget.gpu_hours is not None and self.gpu_hours >= budget.gpu_hours:
            return f"--gpu-hours {budget.gpu_hours:g} is spent: {self.gpu_hours:.2f} GPU-hours"
        if budget.cost is not None and self.cost >= budget.cost:
            return f"--cost {budget.cost:g} is spent: {self.cost:.2f} {currency}".rstrip()
        return None


def spent(tries: Iterable[tuple[Run, int | None]], site: Site) -> Spent:
    """What tries have cost, by the time that they have run and what they had."""
    gpu_hours = cost = 0.0
    for run, hours, width in _hours(tries):
        gpus, each = each_hour(run.resources, site, width)
        gpu_hours += hours * gpus
        cost += hours * (each or 0)
    return Spent(gpu_hours=gpu_hours, cost=cost)


def each_hour(resources: Mapping[str, Any], site: Site, width: int = 1) -> tuple[int, float | None]:
    """The GPU-hours of each hour, and what it costs; ``None`` where that is not known.

    Args:
        resources: what was asked for.
        site: with the costs of its partitions.
        width: how many have that side by side.
    """
    nodes, gpus, cpus = _counts(resources)
    gpus, cpus = gpus * width, cpus * width
    queue = _queue(resources, site)
    if queue is None or queue.cost is None:
        return gpus * nodes, None
    each = {"node-hour": 1, "gpu-hour": gpus, "cpu-hour": cpus}[queue.per]
    return gpus * nodes, nodes * each * queue.cost


def _hours(tries: Iterable[tuple[Run, int | None]]) -> Iterator[tuple[Run, float, int]]:
    """The hours of each try, and how many side by side had what it asks for.

    A job that tries share counts once.
    """
    jobs = set()
    for run, task in tries:
        if not run.bundles or task is None:
            yield run, elapsed_s(run, task) / 3600, 1
            continue
        job = run.array_task(task)
        if (run.run_id, job) in jobs or job is None:
            continue
        jobs.add((run.run_id, job))
        lanes = run.bundles[job]
        # All jobs of an array have the same, the one with few lanes, too.
        yield run, _job_s(run, [one for lane in lanes for one in lane]) / 3600, run.width


def _job_s(run: Run, tasks: Sequence[int]) -> int:
    """How long a job has run that these tasks share: from the first that began to the last that ended."""
    statuses = [run.task_statuses[task] for task in tasks if task in run.task_statuses]
    begun = [one for one in statuses if one.started_s is not None]
    spans = [(one.started_s or 0, (one.started_s or 0) + (one.elapsed_s or 0)) for one in begun]
    return max((end for _, end in spans), default=0) - min((start for start, _ in spans), default=0)


def check_costs(budget: Budget, runs: Iterable[Run], site: Site) -> None:
    """Refuse a budget of money where it is not known what things cost.

    Raises:
        UsageError: it is not.
    """
    if budget.cost is None:
        return
    for run in runs:
        if each_hour(run.resources, site)[1] is None:
            raise UsageError(f"--cost: {unknown_cost(run.resources, site)}")


def unknown_cost(resources: Mapping[str, Any], site: Site) -> str:
    """What is said where it is not known what something costs."""
    name = resources.get("partition")
    what = f"partition {name}" if name else "the default partition"
    return (
        f"what {what} of {site.name} costs is not known; write cost for it under queues in "
        f"{site.file_to_change}, or use --gpu-hours"
    )


def elapsed_s(run: Run, task: int | None) -> int:
    """All attempts where accounting has them, else the last one."""
    status = run.status if task is None else run.task_statuses.get(task)
    usage = run.usage if task is None else run.task_usages.get(task)
    return max((status.elapsed_s if status else None) or 0, usage.elapsed_s if usage else 0)


def _counts(resources: Mapping[str, Any]) -> tuple[int, int, int]:
    nodes, cpus = resources.get("nodes"), resources.get("cpus")
    number = whole(str(resources.get("gpus") or "0").rpartition(":")[2])
    gpus = 1 if number is None else number
    return nodes if isinstance(nodes, int) else 1, gpus, cpus if isinstance(cpus, int) else 1


def _queue(resources: Mapping[str, Any], site: Site) -> Queue | None:
    """The partition; of several that were named, the dearest, since it is not known which it was."""
    names = str(resources.get("partition") or "").split(",")
    queues = [site.queues[name] for name in names if name in site.queues]
    return max(queues, key=lambda queue: queue.cost or 0, default=None)
