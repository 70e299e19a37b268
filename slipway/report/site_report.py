"""What was used at a site: by user, by run and by partition, with its cost. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from slipway.scheduler.accounts import Accounted, AccountedJob, UserTotal
from slipway.site import Queue, Site

TABLES = ("user", "run", "partition")
_HOUR_S = 3600
_HOURS = {"node-hour": "node_hours", "gpu-hour": "gpu_hours", "cpu-hour": "cpu_hours"}


class Named(Protocol):
    """What a run of this project is called."""

    @property
    def run_id(self) -> str: ...  # noqa: D102
    @property
    def name(self) -> str | None: ...  # noqa: D102


def site_report(
    site: Site, accounted: Accounted, runs: Iterable[Named], start: datetime, end: datetime
) -> dict[str, Any]:
    """Tables ``by_user``, ``by_run`` and ``by_partition``, their ``total``, and ``notes``, as JSON has them.

    A row has its ``node_hours``, ``cpu_hours``, ``gpu_hours`` and ``cost``, how many ``jobs`` there were, and
    their ``states``. A cost is ``None`` where no partition of the row has a rate. The time of each attempt
    counts. An array is one job, and each of its tasks has a state.

    Args:
        site: with the rates of its partitions.
        accounted: what its accounting has.
        runs: those that this project has submitted there, with what they are called.
        start: the beginning of the span.
        end: its end.
    """
    names = {run.run_id: run for run in runs}
    rate = site.queues.get
    jobs = accounted.jobs
    return {
        "site": site.name,
        "from": start.isoformat(),
        "to": end.isoformat(),
        "accounts": list(accounted.accounts),
        "currency": site.currency,
        "by_user": _by_user(jobs, accounted.totals, rate),
        "by_run": [_run_row(some, names, rate) for some in _groups(jobs, lambda job: _run_key(job, names))],
        "by_partition": [
            {"partition": some[0].partition, **_sums(some, rate)}
            for some in _groups(jobs, lambda job: job.partition)
        ],
        "total": _sums(jobs, rate),
        "notes": _notes(site, accounted),
    }


Rate = Callable[[str], Queue | None]


def _groups(
    jobs: Iterable[AccountedJob], key: Callable[[AccountedJob], Hashable]
) -> list[list[AccountedJob]]:
    """Jobs with the same key, those that took the most first."""
    found: dict[Hashable, list[AccountedJob]] = {}
    for job in jobs:
        found.setdefault(key(job), []).append(job)
    return sorted(found.values(), key=lambda some: -sum(job.nodes * job.elapsed_s for job in some))


def _sums(jobs: Sequence[AccountedJob], rate: Rate) -> dict[str, Any]:
    standing = {(job.job_id, job.task): job.state.value for job in jobs}
    costs = [cost for job in jobs if (cost := _cost(job, rate)) is not None]
    return {
        "jobs": len({job.job_id for job in jobs}),
        **{key: round(hours, 4) for key, hours in _hours(jobs).items()},
        "cost": round(sum(costs), 2) if costs else None,
        "states": dict(sorted(Counter(standing.values()).items())),
    }


def _hours(jobs: Iterable[AccountedJob]) -> dict[str, float]:
    node_s = cpu_s = gpu_s = 0
    for job in jobs:
        node_s += job.nodes * job.elapsed_s
        cpu_s += job.cpus * job.elapsed_s
        gpu_s += job.gpus * job.elapsed_s
    return {"node_hours": node_s / _HOUR_S, "cpu_hours": cpu_s / _HOUR_S, "gpu_hours": gpu_s / _HOUR_S}


def _cost(job: AccountedJob, rate: Rate) -> float | None:
    queue = rate(job.partition)
    if queue is None or queue.cost is None:
        return None
    return queue.cost * _hours([job])[_HOURS[queue.per]]


def _by_user(
    jobs: Sequence[AccountedJob], totals: Sequence[UserTotal] | None, rate: Rate
) -> list[dict[str, Any]]:
    """A row for each user and account, with what the scheduler itself adds up for them."""
    added_up = {(total.user, total.account): total for total in totals or ()}
    rows = {
        (some[0].user, some[0].account): _sums(some, rate)
        for some in _groups(jobs, lambda job: (job.user, job.account))
    }
    # Of users whose jobs are hidden, there may be sums all the same.
    for key in added_up:
        rows.setdefault(key, _sums([], rate))
    return [
        {"user": user, "account": account, **sums, **_total_hours(added_up.get((user, account)), totals)}
        for (user, account), sums in rows.items()
    ]


def _total_hours(total: UserTotal | None, totals: Sequence[UserTotal] | None) -> dict[str, float | None]:
    keys = ("scheduler_node_hours", "scheduler_cpu_hours", "scheduler_gpu_hours")
    if totals is None:
        return dict.fromkeys(keys)
    seconds = (total.node_s, total.cpu_s, total.gpu_s) if total else (0, 0, 0)
    return {key: round(value / _HOUR_S, 4) for key, value in zip(keys, seconds, strict=True)}


def _run_key(job: AccountedJob, names: Mapping[str, Named]) -> Hashable:
    # A run may have several jobs, each of which goes on where the last one ended.
    return job.name if job.name in names else job.job_id


def _run_row(jobs: Sequence[AccountedJob], names: Mapping[str, Named], rate: Rate) -> dict[str, Any]:
    last = jobs[-1]
    run = names.get(last.name)
    return {
        "run_id": run.run_id if run else None,
        # What a run was called, or else what its user called the job.
        "name": run.name if run else last.name,
        "job_id": last.job_id,
        "user": last.user,
        "account": last.account,
        "partition": last.partition,
        **_sums(jobs, rate),
    }


def _notes(site: Site, accounted: Accounted) -> list[str]:
    notes = []
    if accounted.hidden:
        notes.append(
            f"{site.name} does not show what others do (PrivateData={accounted.hidden}): only what you may "
            "see is counted"
        )
    if accounted.totals_problem:
        notes.append(f"{accounted.totals_problem}; the sums are of single jobs alone")
    elif accounted.totals is not None:
        notes.append("sreport counts whole past hours only, so that it may be behind")
    ran = {job.partition for job in accounted.jobs if job.elapsed_s}
    priced = {name for name, queue in site.queues.items() if queue.cost is not None}
    if priced and (unpriced := sorted(ran - priced)):
        notes.append(f"no cost is known for {', '.join(unpriced)}: queues in {site.file} has none")
    return notes
