"""What memory jobs were given that asked for none, by SLURM's accounting: also while they wait or run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from slipway.host.host import Host
from slipway.scheduler.base import JobQuery
from slipway.scheduler.slurm.answers import Answers, parts, run_all
from slipway.scheduler.slurm.rows import parse_number, rows_of
from slipway.scheduler.slurm.usage import parse_size, parse_tres

_FIELDS = ("JobID", "NNodes", "AllocTRES", "ReqTRES", "JobName")


def memory_command(names: Iterable[str], since: str) -> list[str]:
    """Ask accounting what jobs of these names were given, or are to be given."""
    return [
        "sacct",
        "--noheader",
        "--parsable2",
        "--noconvert",
        "--allocations",
        f"--starttime={since}",
        f"--name={','.join(names)}",
        f"--format={','.join(_FIELDS)}",
    ]


def find_memory(host: Host, wanted: Sequence[JobQuery]) -> Mapping[str, int]:
    """The bytes that jobs were given on each node, by their names, as far as that is known.

    Raises:
        SshError: the connection was lost.
        ParseError: the answer was cut off.
    """
    if not wanted:
        return {}
    since = (min(query.submitted for query in wanted) - timedelta(days=1)).strftime("%Y-%m-%d")
    answers = Answers("sacct", parse_memory)
    for some in parts([query.name for query in wanted]):
        answers.add(run_all(host, [memory_command(some, since)])[0])
    return dict(answers.rows)


def parse_memory(stdout: str) -> list[tuple[str, int]]:
    """Read the answer to :func:`memory_command`: names, and bytes on each node.

    Raises:
        ParseError: there are words and no row among them.
    """
    rows = rows_of(stdout, len(_FIELDS), "sacct", lambda row: row[0][:1].isdigit())
    found = []
    for _, nodes, given, asked, name in rows:
        size = parse_size(parse_tres(given).get("mem", "")) or parse_size(parse_tres(asked).get("mem", ""))
        if size:
            found.append((name, size // (parse_number(nodes) or 1)))
    return found
