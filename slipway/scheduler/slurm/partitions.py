"""What ``sinfo`` and ``sacctmgr`` say of partitions, accounts and QOS. Nothing here runs anything."""

from __future__ import annotations

from dataclasses import dataclass

from slipway.errors import ParseError
from slipway.site import Queue


@dataclass(frozen=True, kw_only=True)
class Partition:
    """A partition, or those of its nodes that are alike."""

    name: str
    is_default: bool
    queue: Queue
    # How many, and what each has.
    nodes: str


def parse_partitions(stdout: str) -> list[Partition]:
    """Read the answer to :func:`slipway.scheduler.slurm.commands.partitions_command`.

    Raises:
        ParseError: a line has not the eight fields that were asked for.
    """
    return [_partition(line) for line in filter(None, stdout.splitlines())]


def parse_associations(stdout: str) -> list[tuple[str, str]]:
    """Read ``sacctmgr show assoc``: accounts, and the QOS of each with commas between."""
    return [(account, qos) for account, qos in _rows(stdout, 2)]


def parse_qos(stdout: str) -> list[tuple[str, str, str]]:
    """Read ``sacctmgr show qos``: names, flags with commas between, and the longest time."""
    return [(name, flags, longest) for name, flags, longest in _rows(stdout, 3)]


def _rows(stdout: str, count: int) -> list[list[str]]:
    rows = [line.split("|") for line in filter(None, stdout.splitlines())]
    if any(len(row) != count for row in rows):
        raise ParseError(f"sacctmgr printed {stdout[:200]!r}; expected {count} fields with | between them")
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
        nodes=", ".join([f"{count} with {cpus} cpus", f"{memory}M", *extras]),
    )
