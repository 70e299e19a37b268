"""What PBS there is, and what it has, beside what is asked for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from slipway.errors import JobError, SlipwayError
from slipway.host.host import Host
from slipway.scheduler.limits import ResourceRequest
from slipway.scheduler.pbs.attributes import Attributes, parse_text
from slipway.scheduler.pbs.commands import queues_command, server_command, version_command
from slipway.scheduler.pbs.job import parse_number
from slipway.scheduler.pbs.queues import find_queues
from slipway.scheduler.pbs.resources import PbsResources
from slipway.scheduler.pbs.site import Dialect, PbsSite
from slipway.scheduler.queues import QueueState, as_word

# What PBS Professional takes where nobody has set it (`man pbs_server_attributes`, max_array_size).
_MOST_TASKS = 10_000


def find_dialect(host: Host) -> Dialect | None:
    """Which PBS there is; ``None`` where its clients do not say."""
    return parse_version(host.run_in_login_shell(version_command()).stdout)


def parse_version(printed: str) -> Dialect | None:
    """Read ``qstat --version``: ``pbs_version = 23.06.06``, or ``Version: 6.1.2`` of Torque's."""
    if "pbs_version" in printed:
        return "openpbs"
    return "torque" if "ersion:" in printed else None


def check_dialect(host: Host, site: PbsSite) -> None:
    """Refuse to submit where the site's file has another dialect than its PBS.

    Raises:
        JobError: it is so.
        SshError: the connection was lost.
    """
    there = find_dialect(host)
    if there is not None and there != site.dialect:
        name = {"openpbs": "PBS Professional or OpenPBS", "torque": "Torque"}[there]
        raise JobError(
            f"{host.target} has {name}, and {site.file} says dialect: {site.dialect}; write dialect: {there} "
            f"to {site.file_to_change}"
        )


def find_most_tasks(host: Host, resources: PbsResources) -> int | None:
    """How many tasks an array may have; ``None`` where PBS does not say."""
    server = _asked(host, server_command(), "Server")
    queue = resources.partition or next((one.get("default_queue") for one in server.values()), None)
    queues = _asked(host, queues_command(), "Queue") if queue else {}
    limits = [parse_number(one.get("max_array_size", "")) for one in server.values()]
    if queue in queues:
        limits.append(parse_number(queues[queue].get("max_array_size", "")))
    known = [limit for limit in limits if limit]
    if known:
        return min(known)
    return (
        _MOST_TASKS
        if any("pbs_version" in one for one in server.values()) and not _is_torque(server)
        else None
    )


def _is_torque(server: dict[str, Attributes]) -> bool:
    """Torque's server has a pbs_version as well, and tells of its tcp timeouts."""
    return any("tcp_timeout" in one or "net_counter" in one for one in server.values())


def describe_queues(host: Host, request: ResourceRequest) -> str:
    """What was asked for, and what there is, for somebody whose job PBS has refused; a line for each."""
    return "".join(f"\n  {line}" for line in _lines(host, request))


def _lines(host: Host, request: ResourceRequest) -> Iterator[str]:
    wanted = request.resources.model_dump(exclude={"qsub", "sbatch"}, exclude_none=True)
    asked = ", ".join(request.named(key, f"{key} {value}") for key, value in wanted.items())
    yield f"asked for: {asked or 'nothing'}"
    for option in getattr(request.resources, "qsub", ()):
        yield f"asked for: {option}"
    try:
        there: Sequence[QueueState] = find_queues(host).queues
    except SlipwayError:
        # It is for words only.
        return
    for queue in there:
        yield f"queue {queue.name}{' (the default)' if queue.is_default else ''}: {_offer(queue)}"


def _offer(queue: QueueState) -> str:
    offer = queue.offer
    words = [f"{queue.nodes} nodes"]
    words += [f"at most {offer.max_cpus} cpus and {offer.max_mem} on one"] if offer.max_cpus else []
    words += [f"gpus {as_word(offer.max_gpus)}"] if offer.max_gpus else []
    words += [f"at most {offer.max_time}"] if offer.max_time else []
    return "; ".join([*words, *([queue.refused] if queue.refused else [])])


def _asked(host: Host, command: list[str], kind: str) -> dict[str, Attributes]:
    """An answer, or nothing where the site does not give it."""
    result = host.run_in_login_shell(command)
    return parse_text(result.stdout, kind) if result.ok else {}
