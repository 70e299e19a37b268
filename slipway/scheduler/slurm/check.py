"""What a cluster has for this user, as ``sinfo`` and ``sacctmgr`` say it, beside what is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import TypeVar

from slipway.errors import JobError, ParseError
from slipway.host.host import Host
from slipway.progress import Progress
from slipway.scheduler.limits import ResourceRequest, find_problem
from slipway.scheduler.slurm.commands import associations_command, partitions_command, qos_command
from slipway.scheduler.slurm.partitions import Partition, parse_associations, parse_partitions, parse_qos
from slipway.scheduler.slurm.resources import own
from slipway.site import Queue, Site

# Flags of a QOS that lift what a partition allows (`man sacctmgr`).
_LIFTING = {"PartitionTimeLimit", "PartitionMaxNodes", "OverPartQOS"}
_ANSWER = TypeVar("_ANSWER")


def asks(resource_request: ResourceRequest, site: Site) -> bool:
    """Whether the partitions are asked for: the site's file does not have them, and something may not fit."""
    wanted = resource_request.resources
    return not (resource_request.partitions and site.queues) and bool(wanted.time or wanted.nodes)


def check_partitions(host: Host, resource_request: ResourceRequest, site: Site, progress: Progress) -> None:
    """Refuse a request that SLURM would take and keep waiting for ever, where the site's file does not tell.

    ``sbatch`` itself refuses what no node has. It takes what is longer than the partition allows, or on more
    nodes. Where a QOS may lift that, or a site's plugin may choose the partition, there is only a note.

    Raises:
        JobError: no partition that is named allows it.
        SshError: the connection was lost.
    """
    if not asks(resource_request, site):
        return
    there = _ask(host, partitions_command(), parse_partitions) or []
    names = resource_request.partitions or [partition.name for partition in there if partition.is_default]
    queues: Mapping[str, Queue] = {partition.name: partition.queue for partition in there}
    # A partition that is not there is for sbatch to refuse.
    if not names or not set(names) <= set(queues):
        return
    problems = [
        find_problem(resource_request, queues[name], f"partition {name} of {site.name}", "(`sinfo` there)")
        for name in names
    ]
    if not all(problems):
        return
    if not resource_request.partitions or _may_be_lifted(host):
        progress.note(f"{problems[0]}; it may wait for ever: `invoke status` shows what for")
        return
    raise JobError(
        f"{problems[0]}; the job would wait for ever. Ask for less, or name another partition: "
        f"{_list_partitions(there)}"
    )


def describe_partitions(host: Host, resource_request: ResourceRequest) -> str:
    """What was asked for, and what there is, for somebody whose job SLURM has refused; a line for each."""
    return "".join(f"\n  {line}" for line in _lines(host, resource_request))


def _lines(host: Host, resource_request: ResourceRequest) -> Iterator[str]:
    wanted = resource_request.resources.model_dump(exclude={"sbatch", "qsub"}, exclude_none=True)
    asked = ", ".join(resource_request.named(key, f"{key} {value}") for key, value in wanted.items())
    yield f"asked for: {asked}"
    for option in own(resource_request.resources).sbatch:
        yield f"asked for: {option}"
    if there := _ask(host, partitions_command(), parse_partitions):
        yield f"partitions: {_list_partitions(there)}"
        for nodes in dict.fromkeys(partition.nodes for partition in there):
            names = ", ".join(partition.name for partition in there if partition.nodes == nodes)
            yield f"nodes: {nodes} in {names}"
    longest = {name: time for name, _, time in _ask(host, qos_command(), parse_qos) or ()}
    for account, qos in _ask(host, associations_command(), parse_associations) or ():
        each = (f"{name} (at most {longest[name]})" if longest.get(name) else name for name in qos.split(","))
        yield f"your account {account} with qos: {', '.join(each)}"


def _list_partitions(there: list[Partition]) -> str:
    limits = {partition.name: partition.queue.max_time or "no limit" for partition in there}
    return ", ".join(f"{name} ({limit})" for name, limit in limits.items())


def _may_be_lifted(host: Host) -> bool:
    there = _ask(host, qos_command(), parse_qos) or ()
    return any(_LIFTING & set(flags.split(",")) for _, flags, _ in there)


def _ask(host: Host, command: list[str], parse: Callable[[str], _ANSWER]) -> _ANSWER | None:
    """An answer, or ``None`` where the site does not give it: it is for words only."""
    result = host.run_in_login_shell(command)
    with suppress(ParseError):
        if result.ok:
            return parse(result.stdout)
    return None
