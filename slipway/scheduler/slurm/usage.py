"""What jobs used, by SLURM's accounting: the question, and the answer as values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta

from slipway.host.host import Host
from slipway.scheduler.base import JobQuery, State
from slipway.scheduler.slurm.answers import Answers, parts, run_all
from slipway.scheduler.slurm.parse import check_count, parse_elapsed, parse_state, parse_tasks
from slipway.scheduler.slurm.rows import parse_number, rows_of
from slipway.scheduler.usage import Usage, UsageAnswer, add_up

# The name is the last: it is the one that may have | in it.
_FIELDS = (
    "JobID",
    "State",
    "ElapsedRaw",
    "TimelimitRaw",
    "AllocTRES",
    "NNodes",
    "TotalCPU",
    "TRESUsageInTot",
    "MaxRSS",
    "NTasks",
    "ConsumedEnergyRaw",
    "End",
    "JobName",
)
# "7", "7_3", "7_[4-9]", "7.batch", "7_3.0"
_ROW_ID = re.compile(r"[0-9]{1,18}(_([0-9]{1,18}|\[.*\]))?(\.\S+)?")
_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?)([KMGTP]?)")
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
# Larger ones are SLURM's way to say that a value is not known (NO_VAL, NO_VAL64).
_MOST_J = 4_000_000_000
_MOST_BYTES = 1 << 60
# Nothing on such a node could report what the job's steps used.
_LOST = frozenset({State.NODE_FAIL})


def usage_command(names: Iterable[str], since: str) -> list[str]:
    """Ask accounting for what jobs of these names used, with their steps and all their attempts.

    Args:
        names: of the jobs.
        since: a date on which none of them was there yet (``2026-01-31``).
    """
    return [
        "sacct",
        "--noheader",
        "--parsable2",
        "--noconvert",
        "--duplicates",
        f"--starttime={since}",
        f"--name={','.join(names)}",
        f"--format={','.join(_FIELDS)}",
    ]


def find_usage(host: Host, wanted: Sequence[JobQuery]) -> UsageAnswer:
    """What accounting knows of these jobs; those that it does not have whole are left out.

    Raises:
        SshError: the connection was lost.
        ParseError: the answers were cut off.
    """
    since = (min(query.submitted for query in wanted) - timedelta(days=1)).strftime("%Y-%m-%d")
    answers = Answers("sacct", parse_usage)
    for some in parts([query.name for query in wanted]):
        answers.add(run_all(host, [usage_command(some, since)])[0])
    return UsageAnswer(usages=dict(answers.rows), problem=answers.problem)


def parse_usage(stdout: str) -> list[tuple[tuple[str, int | None], Usage]]:
    """Read the answer to :func:`usage_command`: the usage of jobs by their names and tasks.

    A job is left out whose last attempt is not over, or has no step yet: steps and ends are accounted some
    seconds late.

    Raises:
        ParseError: there are words and no row among them.
    """
    attempts: dict[tuple[str, int | None], list[_Attempt]] = {}
    for attempt in _attempts(stdout):
        for _, task in parse_tasks(attempt.job_id, "sacct"):
            attempts.setdefault((attempt.name, task), []).append(attempt)
        check_count(len(attempts), "sacct")
    return [(key, add_up([one.usage() for one in some])) for key, some in attempts.items() if _is_whole(some)]


@dataclass(frozen=True, kw_only=True)
class _Attempt:
    """One row of a job, and those of its steps."""

    fields: dict[str, str]
    steps: list[dict[str, str]]

    @property
    def job_id(self) -> str:
        return self.fields["JobID"]

    @property
    def name(self) -> str:
        return self.fields["JobName"]

    @property
    def elapsed_s(self) -> int:
        return parse_number(self.fields["ElapsedRaw"]) or 0

    @property
    def is_over(self) -> bool:
        """Whether it has an end, and its steps have; one that never began has none.

        After one that was REQUEUED another follows, which accounting may not have yet.
        """
        state = parse_state(self.fields["State"].partition(" ")[0])
        known = all(parse_number(row["End"]) is not None for row in (self.fields, *self.steps))
        return state.is_over and known and (bool(self.steps) or not self.elapsed_s or state in _LOST)

    def usage(self) -> Usage:
        tres = parse_tres(self.fields["AllocTRES"])
        nodes = parse_number(self.fields["NNodes"]) or 1
        cpus, memory = parse_number(tres.get("cpu", "")), parse_size(tres.get("mem", ""))
        cpu_s = round(sum(map(_cpu_s, self.steps)), 3) if self.steps else None
        return Usage(
            elapsed_s=self.elapsed_s,
            longest_s=self.elapsed_s,
            limit_s=_limit_s(self.fields["TimelimitRaw"]),
            nodes=nodes if tres else None,
            cpus=cpus,
            cpu_s=cpu_s,
            core_s=None if cpu_s is None or cpus is None else float(cpus * self.elapsed_s),
            peak_memory_bytes=max((size for size in map(_peak, self.steps) if size), default=None),
            asked_memory_bytes=None if memory is None else memory // nodes,
            gpus=gpu_count(tres) if tres else None,
            energy_j=_energy_j(self.fields) or sum(filter(None, map(_energy_j, self.steps))) or None,
        )


def _is_whole(attempts: Sequence[_Attempt]) -> bool:
    """Whether the last of them is over; earlier ones were, or it would not have begun."""
    return attempts[-1].is_over


def _attempts(stdout: str) -> Iterator[_Attempt]:
    attempt: _Attempt | None = None
    for row in _rows(stdout):
        if "." not in row["JobID"]:
            if attempt:
                yield attempt
            attempt = _Attempt(fields=row, steps=[])
        elif attempt and row["JobID"].partition(".")[0] == attempt.job_id:
            attempt.steps.append(row)
    if attempt:
        yield attempt


def _rows(stdout: str) -> list[dict[str, str]]:
    """Rows by the names of their fields, the first attempt of a job first."""
    lines = [line.split("|", len(_FIELDS) - 1) for line in stdout.splitlines()]
    text = "\n".join("|".join([*line[:-1], line[-1].replace("|", "")]) for line in lines)
    rows = rows_of(text, len(_FIELDS), "sacct", lambda row: bool(_ROW_ID.fullmatch(row[0])))
    return [dict(zip(_FIELDS, row, strict=True)) for row in rows]


def _cpu_s(step: dict[str, str]) -> float:
    """CPU time of a step. Of one that was killed, only what was seen while it ran is known."""
    ended, _, fraction = step["TotalCPU"].partition(".")
    part = parse_number(fraction[:3].ljust(3, "0")) or 0 if fraction else 0
    seen = parse_elapsed(parse_tres(step["TRESUsageInTot"]).get("cpu", "")) or 0
    return max((parse_elapsed(ended) or 0) + part / 1000, float(seen))


def _peak(step: dict[str, str]) -> int | None:
    """The most memory of a step on one node, in bytes: that of its largest task, for all tasks on a node.

    It is what ``seff`` calls the estimated maximum (contribs/seff), for one node.
    """
    largest = parse_size(step["MaxRSS"])
    tasks, nodes = parse_number(step["NTasks"]) or 1, parse_number(step["NNodes"]) or 1
    return None if largest is None else largest * -(-tasks // nodes)


def _limit_s(text: str) -> int | None:
    """Minutes as sacct has them, in seconds; ``UNLIMITED`` and ``Partition_Limit`` are no limits."""
    limit = parse_number(text)
    return None if limit is None else limit * 60


def _energy_j(row: dict[str, str]) -> int | None:
    joules = parse_number(row["ConsumedEnergyRaw"])
    return joules if joules and joules < _MOST_J else None


def gpu_count(tres: dict[str, str]) -> int:
    """How many GPUs are among what a job was given; a site may account them by their types alone."""
    if "gres/gpu" in tres:
        return parse_number(tres["gres/gpu"]) or 0
    return sum(parse_number(count) or 0 for name, count in tres.items() if name.startswith("gres/gpu:"))


def parse_tres(text: str) -> dict[str, str]:
    """``cpu=2,mem=4G,gres/gpu:a100=1`` by its names."""
    return dict(part.split("=", 1) for part in text.split(",") if "=" in part)


def parse_size(text: str) -> int | None:
    """A size of memory, in bytes; ``None`` where it is none."""
    match = _SIZE.fullmatch(text)
    size = round(float(match[1]) * _UNITS[match[2]]) if match else None
    return size if size is not None and size < _MOST_BYTES else None
