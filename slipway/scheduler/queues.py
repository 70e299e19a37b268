"""What a cluster's partitions offer and have free, and what a user may have of them: neutral values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from slipway.site import Queue, Site

# In the place of a partition's name: the scheduler says where a job would begin first.
AUTO = "auto"
# How GPUs are called of which the scheduler knows no type.
UNTYPED = "gpu"


@dataclass(frozen=True, kw_only=True)
class QueueState:
    """One partition, as the scheduler has it now.

    Attributes:
        name: its name.
        offer: at most so much to one job, and so much of each on its largest node.
        is_default: jobs that name none go there.
        exclusive: True where a job has whole nodes; ``None`` where that is not known.
        nodes: how many it has.
        idle_nodes: those of them that could begin a job now.
        cpus: cores of all nodes.
        idle_cpus: those that could begin a job now.
        gpus: GPUs of all nodes.
        idle_gpus: those that could begin a job now.
        waiting: jobs that wait; an array is one. ``None`` where that is not known.
        qos: names of a QOS whose limits hold for all of its jobs.
        refused: why this user may not use it; ``None`` where they may.
    """

    name: str
    offer: Queue
    is_default: bool = False
    exclusive: bool | None = None
    nodes: int = 0
    idle_nodes: int = 0
    cpus: int = 0
    idle_cpus: int = 0
    gpus: int = 0
    idle_gpus: int = 0
    waiting: int | None = None
    qos: str | None = None
    refused: str | None = None


@dataclass(frozen=True, kw_only=True)
class OwnLimit:
    """What one account or QOS allows a user.

    Attributes:
        kind: ``account`` or ``qos``.
        name: of which.
        jobs: so many of the user's jobs run at once.
        submitted: so many wait and run.
        time: the longest time for a job, as the scheduler writes it.
        resources: what else there is at most, in the scheduler's own words, by for what: a ``job``, the
            ``user``, or ``all`` together.
    """

    kind: str
    name: str
    jobs: int | None = None
    submitted: int | None = None
    time: str | None = None
    resources: Mapping[str, str] = field(default_factory=dict)

    @property
    def is_any(self) -> bool:
        """True where it allows less than everything."""
        return bool(self.jobs is not None or self.submitted is not None or self.time or self.resources)


@dataclass(frozen=True, kw_only=True)
class ClusterQueues:
    """A cluster's partitions, for one user.

    Attributes:
        queues: those that the user may see, in the scheduler's order.
        limits: the user's own.
        accounts: the user's accounts, and the QOS of each.
        notes: what could not be found out, and why.
    """

    queues: Sequence[QueueState]
    limits: Sequence[OwnLimit] = ()
    accounts: Mapping[str, Sequence[str]] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Start:
    """When a job would begin, as far as the scheduler can tell: it may be sooner, or later.

    Attributes:
        in_s: seconds from now; 0 where it would begin at once. ``None`` where it would be refused.
        refusal: the scheduler's reason then.
    """

    in_s: int | None = None
    refusal: str | None = None


def merge_queue(written: Queue | None, offered: Queue) -> Queue:
    """What a site's file says of a partition, and where it says nothing, what the scheduler does."""
    if written is None:
        return offered
    known = {key: value for key, value in written if value is not None}
    return offered.model_copy(update=known)


def differences(site: Site, there: Sequence[QueueState]) -> list[str]:
    """In what a site's file and its scheduler disagree, a line each."""
    found = []
    offers = {queue.name: queue.offer for queue in there}
    for name, written in site.queues.items():
        if name not in offers:
            found.append(f"queues.{name} in {site.file}: there is no such partition for you")
            continue
        for key in OFFERED:
            mine, theirs = getattr(written, key), getattr(offers[name], key)
            if mine is not None and theirs is not None and not is_same(key, mine, theirs):
                found.append(
                    f"queues.{name}.{key} in {site.file} is {as_word(mine)}; the scheduler "
                    f"says {as_word(theirs)}"
                )
    return found


# The keys of a queue that a scheduler knows.
OFFERED = ("max_time", "max_nodes", "max_cpus", "max_mem", "max_gpus")


def is_same(key: str, one: object, other: object) -> bool:
    """Whether two values of a queue's key mean the same."""
    from slipway.quantity import mebibytes, minutes

    if key == "max_time":
        return minutes(str(one)) == minutes(str(other))
    if key == "max_mem":
        return mebibytes(str(one)) == mebibytes(str(other))
    return one == other


def as_word(value: object) -> str:
    """A value of a queue as a person reads it: ``a100:4,v100:1`` for GPUs."""
    if isinstance(value, Mapping):
        return gpu_words(value)
    return str(value)


def gpu_words(gpus: Mapping[str, int]) -> str:
    """GPUs of a node: ``a100:4,v100:1``; ``none`` where there are none."""
    words = (str(count) if kind == UNTYPED else f"{kind}:{count}" for kind, count in gpus.items())
    return ",".join(words) or "none"


def with_waiting(queue: QueueState, waiting: Mapping[str, int] | None) -> QueueState:
    """The same partition with how many jobs wait for it."""
    return replace(queue, waiting=None if waiting is None else waiting.get(queue.name, 0))
