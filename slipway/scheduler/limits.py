"""Partitions: what a site's file says of them, and requests that would never start there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from slipway.errors import JobError
from slipway.quantity import mebibytes, minutes
from slipway.resources import Resources
from slipway.scheduler.queues import AUTO
from slipway.site import Queue, Site
from slipway.text.nearest import nearest


@dataclass(frozen=True, kw_only=True)
class ResourceRequest:
    """What a job asks for, and where each of it was written, by the keys of :class:`Resources`."""

    resources: Resources
    origins: Mapping[str, str] = field(default_factory=dict)

    def named(self, key: str, words: str) -> str:
        """Words about a key, and where it was written."""
        return f"{words} ({self.origins[key]})" if key in self.origins else words

    @property
    def is_auto(self) -> bool:
        """True where the partition is found out when the job is submitted."""
        return self.resources.partition == AUTO

    @property
    def partitions(self) -> list[str]:
        """The partitions that are named; SLURM takes the one where the job begins first."""
        named = None if self.is_auto else self.resources.partition
        return named.split(",") if named else []


def check_partition(resource_request: ResourceRequest, site: Site) -> None:
    """Refuse a request that the site's file says would never start; SLURM would keep it waiting for ever.

    Raises:
        JobError: the partition is unknown, or it does not have what is asked for.
    """
    if not site.queues:
        return
    if resource_request.is_auto:
        _check_auto(resource_request, site)
    problems = []
    for name in resource_request.partitions:
        if name not in site.queues:
            raise JobError(
                f"site {site.name} has no {resource_request.named('partition', f'partition {name!r}')}"
                f"{nearest(name, site.queues)}; queues in {site.file} has: "
                f"{', '.join(site.queues)}"
            )
        where = f"(queues.{name} in {site.file})"
        problems.append(
            find_problem(resource_request, site.queues[name], f"partition {name} of {site.name}", where)
        )
    if problems and all(problems):
        raise JobError(f"{problems[0]}; the job would wait for ever. Ask for less, or name another partition")


def _check_auto(resource_request: ResourceRequest, site: Site) -> None:
    problems = {
        name: find_problem(resource_request, queue, "it", f"(queues.{name} in {site.file})")
        for name, queue in site.queues.items()
        if queue.auto
    }
    if all(problems.values()):
        raise none_takes(site, {name: str(problem) for name, problem in problems.items()})


def none_takes(site: Site, problems: Mapping[str, str]) -> JobError:
    """The error where ``--partition auto`` finds no partition for a job, with why each does not serve."""
    lines = "".join(f"\n  {name}: {problem}" for name, problem in problems.items())
    return JobError(
        f"--partition auto: no partition of {site.name} takes this job. Ask for less, or name one; "
        f"`invoke queues {site.name}` shows what each offers{lines}"
    )


def find_problem(resource_request: ResourceRequest, queue: Queue, name: str, where: str) -> str | None:
    """What a partition does not have of what is asked for; ``None`` where it has all.

    Args:
        resource_request: what is asked for.
        queue: what the partition offers.
        name: how a message calls the partition.
        where: how one knows it, in brackets.
    """
    wanted = resource_request.resources
    problem = _problem(resource_request, queue)
    if problem:
        return f"{problem} that {name} allows {where}"
    if queue.max_gpus is None or not wanted.gpu_count:
        return None
    there = queue.max_gpus
    of_type = max(there.values(), default=0) if wanted.gpu_type is None else there.get(wanted.gpu_type, 0)
    if wanted.gpu_count <= of_type:
        return None
    has = ", ".join(f"{kind}:{count}" for kind, count in there.items()) or "none"
    asked = resource_request.named("gpus", f"gpus {wanted.gpus}")
    return f"{asked} are not on any node of {name}, which have at most: {has} {where}"


def _problem(resource_request: ResourceRequest, queue: Queue) -> str | None:
    wanted, named = resource_request.resources, resource_request.named
    if queue.max_time and wanted.time and minutes(wanted.time) > minutes(queue.max_time):
        return f"{named('time', f'time {wanted.time}')} is longer than the {queue.max_time}"
    if queue.max_nodes and (wanted.nodes or 1) > queue.max_nodes:
        return f"{named('nodes', f'{wanted.nodes} nodes')} are more than the {queue.max_nodes}"
    if queue.max_cpus and (wanted.cpus or 1) > queue.max_cpus:
        return f"{named('cpus', f'{wanted.cpus} cpus')} are more than the {queue.max_cpus} on a node"
    if queue.max_mem and wanted.mem and mebibytes(wanted.mem) > mebibytes(queue.max_mem):
        return f"{named('mem', f'mem {wanted.mem}')} is more than the {queue.max_mem} on a node"
    return None
