"""Offers: what a cluster has for this user, as SLURM itself says it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from slipway.errors import JobError, ParseError
from slipway.link import Link
from slipway.loginshell import login_command, parse_login
from slipway.progress import Progress
from slipway.queue import Wish, find_problem
from slipway.site import Queue, Site

# Flags of a QOS that lift what a partition allows (`man sacctmgr`).
_LIFTING = {"PartitionTimeLimit", "PartitionMaxNodes", "OverPartQOS"}
_ANSWER = TypeVar("_ANSWER")


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A partition, or those of its nodes that are alike."""

    name: str
    is_default: bool
    queue: Queue
    nodes: str

    def __str__(self) -> str:
        """For people: ``long (7-00:00:00; 8 nodes with 64 cpus, 500000M, gpu:a100:4)``."""
        return f"{self.name} ({self.queue.max_time or 'no time limit'}; {self.nodes})"


def partitions_command() -> list[str]:
    """Ask for the partitions that the user may see."""
    return ["sinfo", "--noheader", "--format=%P|%l|%s|%D|%c|%m|%G|%f"]


def parse_partitions(stdout: str) -> list[Partition]:
    """Read the answer to :func:`partitions_command`.

    Raises:
        ParseError: a line has not the eight fields that were asked for.
    """
    return [_partition(line) for line in filter(None, stdout.splitlines())]


def associations_command() -> list[str]:
    """Ask for the accounts that the user has, and the QOS of each."""
    asked = 'exec sacctmgr --noheader --parsable2 show assoc user="$(id -un)" format=Account,QOS'
    return ["sh", "-c", asked]


def qos_command() -> list[str]:
    """Ask for all QOS, what they lift and how long their jobs may be."""
    return ["sacctmgr", "--noheader", "--parsable2", "show", "qos", "format=Name,Flags,MaxWall"]


def check_offer(link: Link, wish: Wish, site: Site, progress: Progress) -> None:
    """Refuse a request that SLURM would take and keep waiting for ever, where the site's file does not tell.

    ``sbatch`` itself refuses what no node has. It takes what is longer than the partition allows, or on more
    nodes. Where a QOS may lift that, or a site's plugin may choose the partition, there is only a note.

    Raises:
        JobError: no partition that is named allows it.
        LinkError: the connection was lost.
    """
    wanted = wish.resources
    if (wish.partitions and site.queues) or not (wanted.time or wanted.nodes):
        return
    there = _ask(link, partitions_command(), parse_partitions) or []
    names = wish.partitions or [partition.name for partition in there if partition.is_default]
    queues: Mapping[str, Queue] = {partition.name: partition.queue for partition in there}
    # A partition that is not there is for sbatch to refuse.
    if not names or not set(names) <= set(queues):
        return
    problems = [
        find_problem(wish, queues[name], f"partition {name} of {site.name}", "(`sinfo` there)")
        for name in names
    ]
    if not all(problems):
        return
    if not wish.partitions or _may_be_lifted(link):
        progress.note(f"{problems[0]}; it may wait for ever: `invoke status` shows what for")
        return
    raise JobError(
        f"{problems[0]}; SLURM would keep the job waiting for ever. Ask for less, or name another partition: "
        f"{_join(there)}"
    )


def describe_offer(link: Link, wish: Wish) -> str:
    """What was asked for, and what there is, for somebody whose job SLURM has refused; a line for each."""
    return "".join(f"\n  {line}" for line in _lines(link, wish))


def _lines(link: Link, wish: Wish) -> Iterator[str]:
    wanted = wish.resources.model_dump(exclude={"sbatch"}, exclude_none=True)
    asked = ", ".join(wish.named(key, f"{key} {value}") for key, value in wanted.items())
    yield f"asked for: {asked}"
    for option in wish.resources.sbatch:
        yield f"asked for: {option}"
    if there := _ask(link, partitions_command(), parse_partitions):
        yield f"partitions: {_join(there)}"
    if accounts := _ask(link, associations_command(), _parse_rows):
        yield "your accounts: " + ", ".join(f"{row[0]} (qos {row[-1]})" for row in accounts)
    if limited := [row for row in _ask(link, qos_command(), _parse_rows) or () if row[-1]]:
        yield "limits of qos: " + ", ".join(f"{row[0]} {row[-1]}" for row in limited)


def _join(there: list[Partition]) -> str:
    return ", ".join(map(str, there))


def _may_be_lifted(link: Link) -> bool:
    rows = _ask(link, qos_command(), _parse_rows) or ()
    return any(_LIFTING & set(row[1].split(",")) for row in rows)


def _ask(link: Link, command: list[str], parse: Callable[[str], _ANSWER]) -> _ANSWER | None:
    """An answer, or ``None`` where the site does not give it: it is for words only."""
    result = link.run(login_command(command))
    with suppress(ParseError):
        if result.ok:
            return parse(parse_login(result.stdout))
    return None


def _parse_rows(stdout: str) -> list[list[str]]:
    rows = [line.split("|") for line in filter(None, stdout.splitlines())]
    if any(len(row) < 2 for row in rows):
        raise ParseError(f"sacctmgr printed {stdout[:200]!r}; expected fields with | between them")
    return rows


def _partition(line: str) -> Partition:
    fields = line.split("|", 7)
    if len(fields) != 8:
        raise ParseError(f"sinfo printed {line!r}; expected 8 fields with | between them")
    name, time, sizes, count, cpus, memory, gres, features = fields
    most = sizes.rpartition("-")[2]
    extras = [value for value in (gres, features) if value and value != "(null)"]
    return Partition(
        name=name.removesuffix("*"),
        is_default=name.endswith("*"),
        queue=Queue(
            max_time=time if time[:1].isdigit() else None, max_nodes=int(most) if most.isdigit() else None
        ),
        nodes=", ".join([f"{count} nodes with {cpus} cpus", f"{memory}M", *extras]),
    )
