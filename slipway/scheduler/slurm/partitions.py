"""What ``sinfo`` and ``sacctmgr`` say of partitions, accounts and QOS. Nothing here runs anything."""

from __future__ import annotations

import re
from dataclasses import dataclass

from slipway.scheduler.slurm.rows import marked_rows, parse_number, rows_of
from slipway.site import Queue

# "30:00", "1-00:00:00"; "infinite" is none.
_TIME = re.compile(r"([0-9]{1,9}-)?[0-9]{1,9}(:[0-9]{2}){0,2}")
_NAME = re.compile(r"\S+")


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
        ParseError: there are words and no row of those that were asked for, or one is of another form.
    """
    return [_partition(row) for row in marked_rows(stdout, 8, "sinfo")]


def parse_associations(stdout: str) -> list[tuple[str, str]]:
    """Read ``sacctmgr show assoc``: accounts, and the QOS of each with commas between.

    Raises:
        ParseError: there are words and no row of two fields.
    """
    return [(account, qos) for account, qos in rows_of(stdout, 2, "sacctmgr", _is_named)]


def parse_qos(stdout: str) -> list[tuple[str, str, str]]:
    """Read ``sacctmgr show qos``: names, flags with commas between, and the longest time.

    Raises:
        ParseError: there are words and no row of three fields.
    """
    return [(name, flags, longest) for name, flags, longest in rows_of(stdout, 3, "sacctmgr", _is_named)]


def _is_named(row: list[str]) -> bool:
    return bool(_NAME.fullmatch(row[0]))


def _partition(row: list[str]) -> Partition:
    name, time, sizes, count, cpus, memory, gres, features = row
    extras = [value for value in (gres, features) if value and value != "(null)"]
    return Partition(
        name=name.removesuffix("*"),
        is_default=name.endswith("*"),
        queue=Queue(
            max_time=time if _TIME.fullmatch(time) else None,
            max_nodes=parse_number(sizes.rpartition("-")[2]) or None,
        ),
        nodes=", ".join([f"{count} with {cpus} cpus", f"{memory}M", *extras]),
    )
