"""Queues as PBS has them now, by ``qstat -Q`` and ``pbsnodes``; all are asked in one round trip."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from slipway.errors import RemoteError
from slipway.host.host import Host
from slipway.scheduler.pbs.attributes import Attributes, parse_nodes, parse_text
from slipway.scheduler.pbs.commands import nodes_command, queues_command, server_command
from slipway.scheduler.pbs.job import parse_clock, parse_number
from slipway.scheduler.pbs.usage import parse_size
from slipway.scheduler.queues import UNTYPED, ClusterQueues, QueueState
from slipway.site import Queue
from slipway.text.number import whole

# What stands before each answer; no attribute begins a line.
_MARKS = ("slipway-queues", "slipway-server", "slipway-nodes", "slipway-user")
_COUNT = re.compile(r"(Queued|Held|Waiting):([0-9]{1,9})")
# A node in one of these begins no job.
_CLOSED = re.compile(r"down|offline|unknown|stale|sleep|provisioning|maintenance|unresolvable")
_BUSY = re.compile(r"job-exclusive|job-busy|resv-exclusive|busy")
# "physmem=16341524kb" among what a node of Torque's says of itself.
_PHYSICAL = re.compile(r"(?:^|,)physmem=(\w+)")


@dataclass(frozen=True, kw_only=True)
class NodeState:
    """One node.

    Attributes:
        is_open: whether it could begin a job, if it has room.
        cpus: its cores, and ``used_cpus`` those that jobs have.
        memory_bytes: what jobs may have of its memory.
        gpus: its GPUs, and ``used_gpus`` those that jobs have.
        queue: the one queue whose jobs it takes; ``None`` for all.
        properties: Torque's names for what it is.
    """

    is_open: bool
    cpus: int
    used_cpus: int
    memory_bytes: int
    gpus: int
    used_gpus: int
    queue: str | None = None
    properties: frozenset[str] = frozenset()


def all_command() -> list[str]:
    """Ask for queues, the server, nodes and the user's own names, with a mark before each."""
    commands = [queues_command(), server_command(), nodes_command(), ["id", "-un"]]
    asked = "\n".join(f"echo {mark}\n{shlex.join(one)}" for mark, one in zip(_MARKS, commands, strict=True))
    return ["sh", "-c", f"{asked}\nid -Gn"]


def find_queues(host: Host) -> ClusterQueues:
    """The queues, with what is free and what waits.

    Raises:
        RemoteError: PBS cannot be asked.
        ParseError: the nodes cannot be read.
        SshError: the connection was lost.
    """
    result = host.run_in_login_shell(all_command())
    queues, server, nodes, user = split_answer(result.stdout)
    found = parse_text(queues, "Queue")
    if not found:
        words = " ".join(result.stderr.split()) or "qstat shows no queue to you"
        raise RemoteError(f"{host.target}: {words[:400]}")
    there = [node_state(one) for one in parse_nodes(nodes).values()]
    notes = ["PBS does not tell here what you may have at most, nor when a job would begin"]
    if not there:
        notes.append(
            "pbsnodes shows no node to you: "
            + (" ".join(result.stderr.split())[:200] or "it printed nothing")
        )
    default = default_queue(server)
    return ClusterQueues(
        queues=[
            queue_state(name, one, there, user.split(), is_default=name == default)
            for name, one in found.items()
        ],
        notes=notes,
    )


def split_answer(stdout: str) -> list[str]:
    """The answers to :func:`all_command`, one for each mark."""
    rest, found = stdout, []
    for mark in reversed(_MARKS):
        rest, _, some = rest.partition(f"{mark}\n") if mark in rest else (rest, "", "")
        found.append(some)
    return found[::-1]


def default_queue(server: str) -> str | None:
    """The queue of jobs that name none."""
    for one in parse_text(server, "Server").values():
        return one.get("default_queue")
    return None


def node_state(attributes: Attributes) -> NodeState:
    """A node by what ``pbsnodes`` prints of it."""
    state = attributes.get("state", "")
    is_torque = "np" in attributes
    cpus = parse_number(attributes.get("np" if is_torque else "resources_available.ncpus", "")) or 0
    memory = attributes.get("resources_available.mem", "")
    if physical := _PHYSICAL.search(attributes.get("status", "")):
        memory = physical[1]
    gpus = parse_number(attributes.get("gpus" if is_torque else "resources_available.ngpus", "")) or 0
    busy = bool(_BUSY.search(state))
    used = (
        _torque_jobs(attributes)
        if is_torque
        else parse_number(attributes.get("resources_assigned.ncpus", "")) or 0
    )
    return NodeState(
        is_open=not _CLOSED.search(state),
        cpus=cpus,
        used_cpus=cpus if busy else min(used, cpus),
        memory_bytes=parse_size(memory) or 0,
        gpus=gpus,
        used_gpus=min(parse_number(attributes.get("resources_assigned.ngpus", "")) or 0, gpus),
        queue=attributes.get("queue"),
        properties=frozenset(attributes.get("properties", "").split(",")) - {""},
    )


def _torque_jobs(attributes: Attributes) -> int:
    """Cores that jobs have: ``0-3/12.server,4/13.server``."""
    used = 0
    for word in re.split(r",\s*(?=[0-9,-]+/)", attributes.get("jobs", "")):
        for part in word.partition("/")[0].split(","):
            first, dash, last = part.strip().partition("-")
            begin, end = whole(first), whole(last)
            if begin is not None:
                used += end - begin + 1 if dash and end is not None else 1
    return used


def queue_state(
    name: str,
    attributes: Attributes,
    nodes: Sequence[NodeState],
    user: Sequence[str],
    *,
    is_default: bool = False,
) -> QueueState:
    """A queue, and what its nodes have free.

    Args:
        name: its name.
        attributes: what ``qstat -Q -f`` prints of it.
        nodes: all nodes.
        user: the user's name, and the names of their groups.
        is_default: jobs that name none go there.
    """
    mine = [] if attributes.get("queue_type", "").startswith("R") else own_nodes(name, attributes, nodes)
    able = [node for node in mine if node.is_open]
    return QueueState(
        name=name,
        offer=offer_of(attributes, mine),
        is_default=is_default,
        nodes=len(mine),
        idle_nodes=sum(not node.used_cpus for node in able),
        cpus=sum(node.cpus for node in mine),
        idle_cpus=sum(node.cpus - node.used_cpus for node in able),
        gpus=sum(node.gpus for node in mine),
        idle_gpus=sum(node.gpus - node.used_gpus for node in able),
        waiting=sum(int(count) for _, count in _COUNT.findall(attributes.get("state_count", ""))),
        refused=find_refusal(attributes, user),
    )


def own_nodes(name: str, attributes: Attributes, nodes: Sequence[NodeState]) -> list[NodeState]:
    """The nodes that take a queue's jobs."""
    wanted = attributes.get("resources_default.neednodes")
    if wanted is not None:
        return [node for node in nodes if wanted in node.properties]
    only = [node for node in nodes if node.queue == name]
    return only or [node for node in nodes if node.queue is None]


def offer_of(attributes: Attributes, nodes: Sequence[NodeState] = ()) -> Queue:
    """What a queue allows one job, and of each resource what its largest node has."""
    limit = parse_clock(attributes.get("resources_max.walltime", ""))
    counts = (parse_number(attributes.get(f"resources_max.{one}", "")) for one in ("nodect", "nodes"))
    memory = max((node.memory_bytes for node in nodes), default=0) >> 20
    gpus = max((node.gpus for node in nodes), default=0)
    return Queue(
        max_time=None if limit is None else f"{limit // 3600}:{limit // 60 % 60:02}:{limit % 60:02}",
        max_nodes=next((count for count in counts if count), None),
        max_cpus=max((node.cpus for node in nodes), default=0) or None,
        max_mem=f"{memory}M" if memory else None,
        max_gpus=({UNTYPED: gpus} if gpus else {}) if nodes else None,
    )


def find_refusal(attributes: Attributes, user: Sequence[str]) -> str | None:
    """Why a user may not use a queue; ``None`` where they may."""
    if attributes.get("enabled") != "True":
        return "it takes no jobs (enabled)"
    if attributes.get("started") != "True":
        return "it begins no jobs (started)"
    if attributes.get("from_route_only") == "True":
        return "only another queue hands jobs to it"
    for kind, names in (("user", user[:1]), ("group", user[1:])):
        allowed = acl_names(attributes, kind)
        if allowed is not None and user and not allowed & set(names):
            return f"it is for some {kind}s only"
    return None


def acl_names(attributes: Mapping[str, str], kind: str) -> set[str] | None:
    """The users or groups that may use a queue; ``None`` for all."""
    if attributes.get(f"acl_{kind}_enable") != "True":
        return None
    return {name.partition("@")[0] for name in attributes.get(f"acl_{kind}s", "").split(",")}
