"""``--partition auto``: of the partitions that take a job, where it begins first, or costs least."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Literal

from slipway.errors import JobError
from slipway.host.host import Host
from slipway.progress import Progress
from slipway.quantity import minutes
from slipway.resources import Resources
from slipway.scheduler.find import find_scheduler
from slipway.scheduler.limits import ResourceRequest, find_problem, none_takes
from slipway.scheduler.queues import AUTO, QueueState, merge_queue
from slipway.site import Queue, Site
from slipway.text.wording import moment

Prefer = Literal["start", "cost"]
PREFERENCES: tuple[Prefer, ...] = ("start", "cost")
# What begins within a minute begins now: the scheduler looks at its queue only so often.
_NOW_S = 60
_NAMED = 4


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A partition that would take a job.

    Attributes:
        name: its name.
        in_s: seconds until it would begin there.
        cost: of the job, or of an hour of it where its time is not known; ``None`` where no cost is known.
    """

    name: str
    in_s: int
    cost: float | None = None


def settle_partition(
    host: Host, request: ResourceRequest, site: Site, prefer: Prefer, progress: Progress
) -> ResourceRequest:
    """The same request with a partition in the place of ``auto``; any other request as it is.

    Raises:
        JobError: no partition takes it, or no cost is known; the message says why, by partition.
        RemoteError: the scheduler cannot be asked.
        SshError: the connection was lost.
    """
    if not request.is_auto:
        return request
    progress.step(f"Looking for a partition of {site.name}")
    scheduler = find_scheduler(site.scheduler)
    there = scheduler.queues(host).queues
    whole = {queue.name for queue in there if queue.exclusive}
    fits, problems = find_fitting(request, site, there)
    wanted = [request.resources.model_copy(update={"partition": name}) for name in fits]
    starts = dict(zip(fits, scheduler.find_starts(host, wanted, site) if wanted else (), strict=True))
    found = [
        Candidate(
            name=name,
            in_s=start.in_s,
            cost=find_cost(request.resources, fits[name], whole=name in whole),
        )
        for name, start in starts.items()
        if start.in_s is not None
    ]
    problems |= {name: str(start.refusal) for name, start in starts.items() if start.in_s is None}
    if not found:
        raise none_takes(site, problems)
    best, *others = order(found, prefer, site)
    for line in explain(best, others, problems, prefer, site):
        progress.note(line)
    return _settled(request, best, len(found), prefer)


def find_fitting(
    request: ResourceRequest, site: Site, there: Sequence[QueueState]
) -> tuple[dict[str, Queue], dict[str, str]]:
    """The partitions whose limits allow a request, with what they offer, and why others do not.

    Those that the site's file lists come in its order, and no others; without a list all, the default first.
    """
    known = {queue.name: queue for queue in sorted(there, key=lambda queue: not queue.is_default)}
    names = [name for name, queue in site.queues.items() if queue.auto] if site.queues else [*known]
    fits: dict[str, Queue] = {}
    problems: dict[str, str] = {}
    for name in names:
        problem, offer = _look_at(request, site, name, known.get(name))
        if problem is None:
            fits[name] = offer
        else:
            problems[name] = problem
    return fits, problems


def _look_at(
    request: ResourceRequest, site: Site, name: str, state: QueueState | None
) -> tuple[str | None, Queue]:
    if state is None:
        return "there is no such partition for you", Queue()
    written, offer = site.queues.get(name), state.offer
    if not site.asks_for_gpus:
        offer = offer.model_copy(update={"max_gpus": None})
    merged = merge_queue(written, offer)
    places = [(written, f"(queues.{name} in {site.file})"), (offer, f"({site.scheduler})")]
    problems = (find_problem(request, queue, "it", where) for queue, where in places if queue is not None)
    return state.refused or next(filter(None, problems), None), merged


def find_cost(wanted: Resources, queue: Queue, *, whole: bool = False) -> float | None:
    """What a job costs in a partition if it takes all of its time, or an hour where that is not known.

    Args:
        wanted: what it asks for.
        queue: what the partition offers, and its price.
        whole: each job has whole nodes there, whatever it asks for.
    """
    if queue.cost is None:
        return None
    nodes = wanted.nodes or 1
    has_all = bool(wanted.exclusive) or whole
    cpus = (queue.max_cpus if has_all else None) or wanted.cpus or 1
    gpus = _gpus_of_node(wanted, queue) if has_all else wanted.gpu_count
    units = {"node-hour": nodes, "gpu-hour": nodes * gpus, "cpu-hour": nodes * cpus}
    hours = minutes(wanted.time) / 60 if wanted.time else 1.0
    return queue.cost * units[queue.per] * (1.0 if hours == float("inf") else hours)


def _gpus_of_node(wanted: Resources, queue: Queue) -> int:
    """A node's GPUs of the type that is asked for; where that is not known, those that are asked for."""
    there = queue.max_gpus or {}
    of_type = there.get(wanted.gpu_type) if wanted.gpu_type else max(there.values(), default=None)
    return max(of_type or 0, wanted.gpu_count)


def order(found: Iterable[Candidate], prefer: Prefer, site: Site) -> list[Candidate]:
    """Candidates, the best first. Of equals, the one that came first stays so.

    Raises:
        JobError: the cheapest is wanted, and no cost is known.
    """
    by_start = sorted(found, key=lambda one: one.in_s if one.in_s > _NOW_S else 0)
    if prefer == "start":
        return by_start
    if all(one.cost is None for one in by_start):
        raise JobError(
            f"--prefer cost: no cost is known for {', '.join(one.name for one in by_start)}; write "
            f"queues.<partition>.cost into {site.file_to_change}, or leave --prefer out"
        )
    return sorted(by_start, key=lambda one: float("inf") if one.cost is None else one.cost)


def explain(
    best: Candidate, others: Sequence[Candidate], problems: Mapping[str, str], prefer: Prefer, site: Site
) -> list[str]:
    """Why a partition was taken, in a line, and why others were not, in another."""
    why = "begins first" if prefer == "start" else "costs least"
    line = f"Partition {best.name} of {site.name} {why}: {_words(best, site)}"
    if others:
        line += f"; {_list([f'{one.name} {_words(one, site)}' for one in others])}"
    if not problems:
        return [line]
    return [line, f"Not {_list([f'{name}: {problem}' for name, problem in problems.items()])}"]


def _list(words: Sequence[str]) -> str:
    more = f"; and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return "; ".join(words[:_NAMED]) + more


def _words(one: Candidate, site: Site) -> str:
    cost = "" if one.cost is None else f", {one.cost:,.2f} {site.currency or ''}".rstrip()
    return f"{_when(one.in_s)}{cost}"


def _when(in_s: int) -> str:
    if in_s <= _NOW_S:
        return "now"
    now = datetime.now(timezone.utc).astimezone()
    return f"at {moment(int((now + timedelta(seconds=in_s)).timestamp()), now)}"


def _settled(request: ResourceRequest, best: Candidate, count: int, prefer: Prefer) -> ResourceRequest:
    where = request.origins.get("partition", AUTO)
    how = f"{where}: {AUTO}, the {'earliest start' if prefer == 'start' else 'lowest cost'} of {count}"
    resources = request.resources.model_copy(update={"partition": best.name})
    return replace(request, resources=resources, origins={**request.origins, "partition": how})


def without_auto(request: ResourceRequest) -> ResourceRequest:
    """The same request, with no partition where a job's would only be found out when it is submitted."""
    if not request.is_auto:
        return request
    return replace(request, resources=request.resources.model_copy(update={"partition": None}))
